"""How a test says that something is not as it must be."""
import re


class Failure(Exception):
    """The behaviour is wrong; the text is what a developer needs to see."""


class Skip(Exception):
    """This machine cannot show the behaviour; the text says what it lacks. A failure where nothing may be lacking."""


class NoData(Skip):
    """Data that is no part of the checkout is not there. Never a failure."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, want, what):
    if got != want:
        raise Failure(f"{what}\n  is   {got!r}\n  want {want!r}")


def contains(text, *parts):
    """Every part occurs in the text."""
    for part in parts:
        if part not in text:
            raise Failure(f"{part!r} is missing in:\n{indent(text)}")


def lacks(text, *parts):
    """No part occurs in the text."""
    for part in parts:
        if part in text:
            raise Failure(f"{part!r} must not be in:\n{indent(text)}")


def matches(text, pattern):
    """The pattern is found in the text; the match is returned."""
    found = re.search(pattern, text, re.M)
    if not found:
        raise Failure(f"no match for {pattern!r} in:\n{indent(text)}")
    return found


def indent(text, limit=4000):
    """The end of a text, as lines of their own."""
    cut = text if len(text) <= limit else "…" + text[-limit:]
    return "".join(f"  | {line}\n" for line in cut.splitlines()) or "  | (nothing)\n"
