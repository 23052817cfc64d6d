"""The engine under the pattern detector: many patterns in one database, for whole texts and for streams."""
