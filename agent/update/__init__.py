"""How does a box get a new version, and its old one back? Standard library only: root runs this.

The updater is not part of the version it replaces: a copy of this folder, run by Debian's Python, so
that nothing in a broken version can stop the return to the one before.
"""
