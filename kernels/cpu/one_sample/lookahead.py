"""What a thread knows of the next sample, and has already computed for it, in its line of `Team.sync`.

With one sample a step and the gradient added to the parameters themselves, the pass over the first layer's weights that
updates them forms the sums of the next sample as well (see `one_pass`). When a run begins, nothing is known.
"""

from fastmlp.kernels.cpu.machine.jitable import inlined
from fastmlp.kernels.cpu.team.members import FREE, PLACES
from fastmlp.kernels.cpu.team.threads import line
from fastmlp.kernels.cpu.team.views import address

__all__ = ["are_formed", "next_sample", "note_layer", "note_next", "note_sums", "places_of_sums"]

_NEXT, _WEIGHTS, _SUMS, _SECOND_SUMS, _FORMED = range(FREE, FREE + 5)  # numbers of samples are stored plus 1: 0 is none
assert _FORMED < PLACES


@inlined
def note_next(team, sample):
    """Note the next sample's number, -1 if there is none."""
    team.sync[line(team) + _NEXT] = sample + 1


@inlined
def note_layer(team, w, out, second):
    """Note where the first layer's weights lie, and the two parts of its sums. These are not formed yet."""
    mine = line(team)
    team.sync[mine + _WEIGHTS], team.sync[mine + _SUMS] = address(w), address(out)
    team.sync[mine + _SECOND_SUMS], team.sync[mine + _FORMED] = address(second), 0


@inlined
def next_sample(team, out):
    """The next sample's number if it is known and a gradient is added to the first layer's weights, `out`; else -1."""
    mine = line(team)
    return team.sync[mine + _NEXT] - 1 if team.sync[mine + _WEIGHTS] == address(out) else -1


@inlined
def places_of_sums(team):
    """Addresses of the two parts of the first layer's sums."""
    mine = line(team)
    return team.sync[mine + _SUMS], team.sync[mine + _SECOND_SUMS]


@inlined
def note_sums(team, sample):
    """Note that the sums of this sample have been formed."""
    team.sync[line(team) + _FORMED] = sample + 1


@inlined
def are_formed(team, sample):
    """Whether the sums of this sample have been formed."""
    return team.sync[line(team) + _FORMED] == sample + 1
