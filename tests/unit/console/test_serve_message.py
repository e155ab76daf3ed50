from console.serve_message import attachment_name, inline_pictures
from mail.read_body import Attachment, Body


def test_a_picture_of_the_mail_is_shown_and_no_other() -> None:
    png = Attachment("", "image/png", "logo@x", b"png")
    svg = Attachment("", "image/svg+xml", "drawing@x", b"<svg onload=alert(1)>")
    html = "<img src=\"cid:logo@x\"><img src='cid:drawing@x'><img src=cid:gone@x><a href='cid:logo@x'>x</a>"
    shown = inline_pictures(Body(html=html, attachments=(png, svg)))
    assert shown == html.replace('"cid:logo@x"', '"data:image/png;base64,cG5n"')


def test_a_content_id_may_be_percent_encoded() -> None:
    png = Attachment("", "image/png", "a b@x", b"png")
    assert "data:image/png" in inline_pictures(Body(html='<img src="cid:a%20b@x">', attachments=(png,)))


def test_an_attachment_without_a_usable_name_is_numbered() -> None:
    assert attachment_name(Attachment("", "text/plain", "", b""), 2) == "attachment-2.bin"
    assert attachment_name(Attachment("..", "text/plain", "", b""), 2) == "attachment-2.bin"
    assert attachment_name(Attachment(".bashrc", "text/plain", "", b""), 1) == "bashrc"
