"""The npc family: policies that choose the actions of non-player characters.

`COMMANDS` names, for each word after `python -m export npc`, the module that holds its configuration and its `run`.
"""

COMMANDS = {
    "train": ("export.npc.train", "TrainConfig"),
    "evaluate": ("export.npc.evaluate", "EvaluateConfig"),
    "onnx": ("export.npc.to_onnx", "OnnxConfig"),
    "course": ("export.npc.course", "CourseConfig"),
}
