"""Views: the readings of a text in which disguised words stand plainly, with the way back to the original offsets.

maps.py      stretches and spans
view.py      View, Hidden, Views
triggers.py  one pass that tells which families of views a text gives reason for
folding.py   invisible characters out, lookalikes folded; tables.py what each character looks like
collapsing.py  spacing, leet, repeats
escapes.py, blobs.py  encodings within the text; hiding.py  tags, selectors, overrides, and which of them are signals
build.py     views(): all of it in order, within limits
"""

from guard.views.build import views
from guard.views.view import Hidden, View, Views

__all__ = ["Hidden", "View", "Views", "views"]
