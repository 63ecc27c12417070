"""What a thread has done ahead for the sample that comes after the one at hand: numbers in its line of `Team.sync`.

Where batches are of one sample and the gradient goes into the parameters, the pass over the first layer's weights that
updates them forms the sums of the next sample as well (see `one_pass`). Nothing is known when a run begins.
"""

from fastmlp.kernels.cpu.machine.jitable import inlined
from fastmlp.kernels.cpu.team.threads import FREE, PLACES, line
from fastmlp.kernels.cpu.team.views import address

__all__ = ["are_formed", "next_sample", "note_layer", "note_next", "note_sums", "places_of_sums"]

_NEXT, _WEIGHTS, _SUMS, _SECOND_SUMS, _FORMED = range(FREE, FREE + 5)  # numbers of samples are counted from 1
assert _FORMED < PLACES


@inlined
def note_next(team, sample):
    """The next sample's number, -1 if there is none."""
    team.sync[line(team) + _NEXT] = sample + 1


@inlined
def note_layer(team, w, out, second):
    """The first layer's weights, and where the two parts of its sums lie."""
    mine = line(team)
    team.sync[mine + _WEIGHTS], team.sync[mine + _SUMS] = address(w), address(out)
    team.sync[mine + _SECOND_SUMS], team.sync[mine + _FORMED] = address(second), 0


@inlined
def next_sample(team, out):
    """The next sample's number if it is known and `out`, that a gradient is added to, are the weights; else -1."""
    mine = line(team)
    return team.sync[mine + _NEXT] - 1 if team.sync[mine + _WEIGHTS] == address(out) else -1


@inlined
def places_of_sums(team):
    mine = line(team)
    return team.sync[mine + _SUMS], team.sync[mine + _SECOND_SUMS]


@inlined
def note_sums(team, sample):
    """The sums of this sample have been formed."""
    team.sync[line(team) + _FORMED] = sample + 1


@inlined
def are_formed(team, sample):
    return team.sync[line(team) + _FORMED] == sample + 1
