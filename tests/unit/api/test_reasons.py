"""Reasons are part of the language: one list, no word outside it, none in it that nobody says."""

import re
from dataclasses import replace
from pathlib import Path

import sovereigncloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation, state_of

SOURCES = Path(sovereigncloud.__file__).parent
VM = Vm(1, "web", 0, 3, 3, "1", 1, 512, (), (), None, "one-1", "", "")
STATES = [state_of(replace(VM, state=state, lcm_state=lcm)) for state in range(12) for lcm in range(80)]


def test_every_reason_is_one_camel_case_word_that_the_schema_takes():
    for reason in Reason:
        assert re.fullmatch(r"[A-Z][A-Za-z]{1,127}", reason), reason
        assert reason.name == re.sub(r"(?<=[a-z])(?=[A-Z])", "_", reason).upper(), "the name in code is the word"


def test_every_state_of_a_machine_that_is_not_at_rest_is_a_reason():
    for state in STATES:
        known = "State" not in state.words
        if state.situation not in {*AT_REST, Situation.HELD, Situation.LOST}:
            assert (state.reason is not Reason.UNKNOWN_STATE) == known, state


def test_every_reason_is_said_somewhere():
    """Reasons that are states of a machine are said by their words; the others by name."""
    said = set(re.findall(r"\bReason\.([A-Z_]+)", "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))))
    words = {state.words for state in STATES}
    assert [reason for reason in Reason if reason.name not in said and reason not in words] == []
