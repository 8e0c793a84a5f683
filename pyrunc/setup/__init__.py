"""Puts pyrunc into the configuration of container engines, and takes it out again.

Only texts of configuration files are made and written here; nothing is started, stopped or reloaded.  One module an
engine, each with the same functions:

``path(wish)``: the file that is changed.
``without(text, where, record)``: what the file would be without pyrunc; None where there would be none.
``within(text, where, wish)``: what it is to be with pyrunc, from the text without.
``reload(wish, before, after)``, ``use(wish)``: what remains to be done by hand, in sentences.

So a second run finds nothing to do, other options lead to what a first run with them would have led to, and a removal
leaves what was there before.
"""
