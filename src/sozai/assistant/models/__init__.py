"""Language models of any provider behind one small protocol.

``connect`` makes one of what a person typed, ``propose`` asks it and checks by code, ``fence`` puts a document into a
prompt, ``read_json`` reads an answer. Everything that is sent stands in the run's manifest.
"""

from sozai.assistant.models.base import LOCAL, LanguageModel, Message, Reply, ScriptedModel
from sozai.assistant.models.connect import connect
from sozai.assistant.models.fence import RULE, fence
from sozai.assistant.models.kept import KeptReplies
from sozai.assistant.models.propose import Proposal, Round, propose
from sozai.assistant.models.reading import Json, ReplyError, read_json

__all__ = [
    "LOCAL",
    "RULE",
    "Json",
    "KeptReplies",
    "LanguageModel",
    "Message",
    "Proposal",
    "Reply",
    "ReplyError",
    "Round",
    "ScriptedModel",
    "connect",
    "fence",
    "propose",
    "read_json",
]
