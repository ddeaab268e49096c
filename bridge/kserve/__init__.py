"""Generated from `proto/bridge/kserve` by `proto/generate.py`; never edited."""
