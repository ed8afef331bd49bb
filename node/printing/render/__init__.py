"""Cards and papers as PDF."""

from node.printing.render.content import PrintContent, is_qr_text, media_of, qr_text
from node.printing.render.document import render
from node.printing.render.photo import check_photo

__all__ = ["PrintContent", "check_photo", "is_qr_text", "media_of", "qr_text", "render"]
