from console.serve_message import MAX_PICTURES, attachment_name, link_pictures
from mail.read_body import Attachment, Body


def test_a_picture_of_the_mail_is_shown_and_no_other() -> None:
    png = Attachment("", "image/png", "logo@x", b"png")
    svg = Attachment("", "image/svg+xml", "drawing@x", b"<svg onload=alert(1)>")
    html = "<img src=\"cid:logo@x\"><img src='cid:drawing@x'><img src=cid:gone@x><a href='cid:logo@x'>x</a>"
    shown = link_pictures(Body(html=html, attachments=(svg, png)), "/p/")
    assert shown == html.replace('"cid:logo@x"', '"/p/2"')


def test_a_content_id_may_be_percent_encoded() -> None:
    png = Attachment("", "image/png", "a b@x", b"png")
    assert 'src="/p/1"' in link_pictures(Body(html='<img src="cid:a%20b@x">', attachments=(png,)), "/p/")


def test_a_picture_that_is_named_again_and_again_makes_the_html_little_longer() -> None:
    png = Attachment("", "image/png", "x", b"p" * 1_000_000)
    html = "<img src=cid:x>" * 60_000
    shown = link_pictures(Body(html=html, attachments=(png,)), "/p/")
    assert shown.count("/p/1") == MAX_PICTURES and len(shown) < len(html) + 10_000


def test_an_attachment_without_a_usable_name_is_numbered() -> None:
    assert attachment_name(Attachment("", "text/plain", "", b""), 2) == "attachment-2.bin"
    assert attachment_name(Attachment("..", "text/plain", "", b""), 2) == "attachment-2.bin"
    assert attachment_name(Attachment(".bashrc", "text/plain", "", b""), 1) == "bashrc"
