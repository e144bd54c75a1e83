"""The peers' builds once more, with a plain user who builds: the same floor as root's."""
import peers
import plain_user
from expect import expect


def test_builds(ws):
    """Builds recorded from BuildKit, by a user with subordinate ids: not fewer cases pass than before."""
    expect(plain_user.name(), "IMGBUILD_E2E_USER names nobody")
    peers.require_floor(peers.run_builds(ws))
