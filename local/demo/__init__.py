"""A small internet on loopback for `mailscope demo`: names, mail servers, a desk, people and impostors.

Nothing here is imported by the pipeline, and nothing here talks to anything but 127.0.0.0/8.
"""
