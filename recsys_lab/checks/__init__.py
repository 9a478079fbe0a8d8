"""Checks of the labs' exercises: one module a lab, ``from recsys_lab.checks import lab02 as check``.

A learner meets `check.NAME(answer)`, `check.NAME.hint()`, `check.NAME.solution()`, `check.answers.NAME` and
`check.progress()`. An author reads `exercise` (how to declare one), then `kinds` (what an answer may be) and `lab02`
as an example. Behind them stand `judge` (which of the four outcomes, and which mistake), `calls` and `sandbox` (running
code that may do anything), `reading` (plain values), `report` and `outcome` (the box), `answers` and `progress`.
"""
