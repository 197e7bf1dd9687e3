"""Objects as a person names them: what is meant, and what is said where that is not clear."""

import pytest

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.object_names import Named, chosen, named

INSTANCE, NETWORK, CLOUD = "HostedInstance", "VirtualNetwork", "SovereignCloud"
THERE = [
    Key(INSTANCE, "team", "web"),
    Key(INSTANCE, "team", "db"),
    Key(NETWORK, "team", "lan"),
    Key(NETWORK, "team", "db"),
    Key(INSTANCE, "prod", "web"),
    Key(INSTANCE, "prod", "shop"),
]


@pytest.mark.parametrize(
    ("words", "meant", "why"),
    [
        (["hinst/web"], [Named(INSTANCE, "web")], "a short name and a slash"),
        (["hinst", "web"], [Named(INSTANCE, "web")], "a kind, then a name"),
        (["hinst", "web", "db"], [Named(INSTANCE, "web"), Named(INSTANCE, "db")], "a kind, then names"),
        (["HostedInstances/web"], [Named(INSTANCE, "web")], "a plural, in whatever case"),
        (["hostedinstances.sovereigncloud.io/web"], [Named(INSTANCE, "web")], "with the group"),
        (["web", "onevnet/lan"], [Named("", "web"), Named(NETWORK, "lan")], "a name alone, and another with its kind"),
        ([], [], "nothing: everything"),
    ],
)  # fmt: skip
def test_words_of_a_command_line(words, meant, why):
    assert list(named(words)) == meant, why


def test_a_kind_alone_is_all_of_it_where_that_does_no_harm():
    assert named(["hinst"], whole_kinds=True) == (Named(INSTANCE, ""),)
    with pytest.raises(CommandError, match="which HostedInstance"):
        named(["hinst"])


@pytest.mark.parametrize(
    ("words", "namespace", "found", "why"),
    [
        (["hinst/web"], "team", [Key(INSTANCE, "team", "web")], "in the namespace"),
        (["lan"], "team", [Key(NETWORK, "team", "lan")], "the only thing of that name"),
        (["shop"], "", [Key(INSTANCE, "prod", "shop")], "anywhere, and there once"),
        (["hinst"], "team", [Key(INSTANCE, "team", "db"), Key(INSTANCE, "team", "web")], "all of a kind"),
        (["web", "hinst/web"], "team", [Key(INSTANCE, "team", "web")], "named twice is once"),
    ],
)  # fmt: skip
def test_what_is_meant(words, namespace, found, why):
    assert list(chosen(named(words, whole_kinds=True), THERE, namespace)) == found, why


@pytest.mark.parametrize(
    ("words", "namespace", "said", "why"),
    [
        (["hinst/wbe"], "team", "no HostedInstance wbe in namespace team: did you mean web?", "a typing error"),
        (["wbe"], "team", "no object wbe in namespace team: did you mean hinst/web", "a typing error without a kind"),
        (["db"], "team", "several objects are named db: write hinst/db or onevnet/db", "two kinds"),
        (["hinst/web"], "", "in several namespaces: choose one with -n: prod, team", "two namespaces"),
        (["hinst/shop"], "team", "there is one in namespace prod: -n prod", "elsewhere"),
        (["hints/web"], "team", "no kind hints: did you mean hinst?", "a kind mistyped"),
        (["hinsd", "web"], "none", "did you mean the kind hinst? Then write hinst/NAME", "a kind mistyped, without a slash"),
        (["pods/web"], "team", "it is one of SovereignCloud (scloud)", "a kind of somebody else"),
        (["scloud/x"], "none", "there is no SovereignCloud x in namespace none, nor any other", "nothing near"),
        (["hinst/"], "team", "write KIND/NAME", "no name"),
        (["hinst/a/b"], "team", "write KIND/NAME", "too much"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_said_with_what_is_near(words, namespace, said, why):
    with pytest.raises(CommandError) as refused:
        chosen(named(words), THERE, namespace)
    assert said in str(refused.value), why
