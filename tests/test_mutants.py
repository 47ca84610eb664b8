"""The diagnosis, examined: wrong backward passes by the hundred, and right ones.

The mutants are edits of texts in the styles of several authors, in `tests/mutants`; what an edit
did is written beside it. That texts are right, that edits do what is written, and that random
networks are right is shown here by plain NumPy and differences, without the code under test.
"""

import functools
import warnings

import pytest
from mutants.drawing import NETWORKS
from mutants.judging import Score, faults, judged, said_loss, slip_judged, told
from mutants.matrix import MUTANTS
from mutants.random_networks import claimed, handed_in, written
from mutants.random_networks import differences as random_differences
from mutants.running import answers, differences, distance
from mutants.suite import Mutant, load

from chainrule.inspect.checking import check

RANDOM = 240
"""Right networks at random; the examination asks for 200."""

CAUSE, TENSOR = 0.95, 0.98
"""Shares of wrong backward passes whose cause is said first, and whose tensor is."""

AS_WRITTEN = tuple(
    Mutant(name, "as written", (), frozenset(), frozenset(), right=True) for name in NETWORKS
)
CASES = tuple(
    (mutant, form) for mutant in (*AS_WRITTEN, *MUTANTS) for form in NETWORKS[mutant.network].forms
)
CODES = sorted({code for mutant in MUTANTS for code in mutant.codes if not mutant.right})


def sample():
    """Yield each network as written, a wrong one for each cause, and a few more right ones."""
    yield from ((mutant, next(iter(NETWORKS[mutant.network].forms))) for mutant in AS_WRITTEN)
    for k, code in enumerate(CODES):
        of_it = [case for case in CASES if code in case[0].codes and not case[0].right]
        yield of_it[7 * k % len(of_it)]
    yield from [case for case in CASES if case[0].right][::16]


def test_the_suite_is_as_large_as_it_says():
    wrong = [mutant for mutant in MUTANTS if not mutant.right]
    assert len({mutant.kind for mutant in wrong}) >= 40
    assert len(wrong) >= 400
    assert {code for mutant in wrong for code in mutant.codes} >= {
        f"CD{code}" for code in range(201, 246) if code not in {234, 235, 237, 240}
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_texts_are_right_by_differences(name, tmp_path):
    network = NETWORKS[name]
    module = load(network.text, tmp_path, name)
    gradients = answers(network, module)[1]
    plain = {
        key.removeprefix("d") if key.startswith(("dW", "dB")) else key: g
        for key, g in gradients.items()
    }
    names = [key for key in plain if key[0] not in "ZA"]
    assert distance(plain, differences(network, module, names)) < 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_edits_do_what_is_written_beside_them(name, tmp_path):
    network = NETWORKS[name]

    @functools.cache
    def unedited(sizes):
        return answers(network, load(network.text, tmp_path, name), sizes=dict(sizes))

    for mutant in (mutant for mutant in MUTANTS if mutant.network == name):
        module = load(mutant.applied(network.text), tmp_path, name)
        loss, gradients = answers(network, module, sizes=mutant.sizes, twice=mutant.stale)
        right_loss, right = unedited(tuple(mutant.sizes.items()))
        right = {key: g for key, g in right.items() if key[0] not in "ZA"}
        apart = distance(gradients, right)
        assert loss == right_loss, mutant.name
        assert (apart < 1e-5) if mutant.right else (apart > 1e-2), (mutant.name, apart)


def test_a_sample_is_diagnosed(tmp_path):
    """Hold the bars of the whole examination on one case of each cause."""
    passes(Score(tuple(judged(mutant, form, tmp_path) for mutant, form in sample())))


@pytest.mark.slow
@pytest.mark.parametrize("said", [True, False], ids=["shapes said", "given numbers alone"])
def test_the_whole_matrix_is_diagnosed(said, tmp_path):
    passes(Score(tuple(judged(mutant, form, tmp_path, said) for mutant, form in CASES)))


@pytest.mark.slow
@pytest.mark.parametrize("said", [True, False], ids=["shapes said", "given numbers alone"])
def test_random_slips_are_diagnosed(said, tmp_path):
    verdicts = (slip_judged(seed, tmp_path, said) for seed in range(RANDOM))
    passes(Score(tuple(verdict for verdict in verdicts if verdict is not None)))


def passes(score):
    assert not score.alarms, str(score)
    assert score.cause >= CAUSE, str(score)
    assert score.tensor >= TENSOR, str(score)


@pytest.mark.parametrize(
    "seeds", [range(8), pytest.param(range(8, RANDOM), marks=pytest.mark.slow)]
)
def test_right_networks_raise_no_alarm(seeds, tmp_path):
    alarms = []
    for seed in seeds:
        network = written(seed)
        module = load(network.text, tmp_path, "network")
        gradients = claimed(module, network, network.arguments)[1]
        assert distance(gradients, random_differences(module, network)) < 1e-5, network.told
        target, inputs, shapes = handed_in(module, network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an overflow on drawn numbers
            found = check(target, inputs, shapes=shapes, seed=seed, loss=said_loss(target))
        if faults(found):
            alarms.append(f"seed {seed}: {told(found)}\n{network.told}")
    assert not alarms, f"{len(alarms)} of {len(seeds)}\n" + "\n".join(alarms)
