"""The latent explorer: a trained run as one live surface, whose encoder and decoder run in the reader's browser.

`show` is what a chapter's cell returns, `export` writes a page that needs nothing else, not even a server.
"""

from vaelib.explorer.pack import check
from vaelib.explorer.page import Explorer, export, show

__all__ = ["Explorer", "check", "export", "show"]
