"""The npc family: policies that choose the actions of non-player characters."""
