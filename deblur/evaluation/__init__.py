"""Scores: one evaluator for every network, the official protocols, sizes, and looks inside."""

from deblur.evaluation.evaluator import (
    STACK,
    Restore,
    add_gain,
    by_kind,
    evaluate,
    identity,
    psnr_labels,
    restore_all,
    restorer,
    score,
    score_stack,
    summarise,
    windowed,
)
from deblur.evaluation.files import evaluate_into, from_files, restored_files
from deblur.evaluation.parts import parts_table, spread, verdicts
from deblur.evaluation.protocols import (
    PROTOCOLS,
    Method,
    counted_pairs,
    on_frames,
    protocol_for,
    score_koehler,
    score_pairs,
    summarise_protocol,
)

__all__ = [
    "PROTOCOLS",
    "STACK",
    "Method",
    "Restore",
    "add_gain",
    "by_kind",
    "counted_pairs",
    "evaluate",
    "evaluate_into",
    "from_files",
    "identity",
    "on_frames",
    "parts_table",
    "protocol_for",
    "psnr_labels",
    "restore_all",
    "restored_files",
    "restorer",
    "score",
    "score_koehler",
    "score_pairs",
    "score_stack",
    "spread",
    "summarise",
    "summarise_protocol",
    "verdicts",
    "windowed",
]
