"""The error function, as a straight line of instructions on whole vectors.

Near 0 it is x + x P(x²), further out 1 - e^-g(x), where g(x) = -log erfc(x) is nearly a parabola
and P and g are polynomials: an error in g counts the less the smaller erfc is. Coefficients: see
`chainrule.execute.native.exponentials`.

Largest errors that the tests hold, in units in the last place: 1.3 in float32; 2.1 in float64,
where the C library, to which they compare, may be wrong by 1 itself.
"""

from __future__ import annotations

from chainrule.execute.native.elementary import at_most, choose, copysign, fma, less, magnitude
from chainrule.execute.native.exponentials import exp
from chainrule.execute.native.functions import inline, polynomial
from chainrule.execute.native.values import SPECIAL, Number

__all__ = ["erf"]

_SMALL = {
    4: (
        0.12837916612625122,
        -0.3761262893676758,
        0.11283618211746216,
        -0.02685512602329254,
        0.005190733820199966,
        -0.0008030761382542551,
        7.920368079794571e-05,
    ),
    8: (
        0.12837916709551256,
        -0.3761263890318337,
        0.11283791670938839,
        -0.02686617064232064,
        0.005223977600005328,
        -0.0008548325651384108,
        0.0001205528566331606,
        -1.4924567150951931e-05,
        1.6445417372714285e-06,
        -1.6193720244951988e-07,
        1.3658617298200034e-08,
        -7.685329821218477e-10,
    ),
}
_LARGE = {
    4: (
        5.364941120147705,
        4.4181599617004395,
        0.9237543344497681,
        0.01648693159222603,
        -0.0035474002361297607,
        0.00070872314972803,
        -0.00018692169396672398,
    ),
    8: (
        5.364941264616636,
        4.418160805994414,
        0.9237508418239505,
        0.016465118137385243,
        -0.0035707563479356716,
        0.0007323993779609605,
        -0.0001353093300702426,
        2.0706470898582333e-05,
        -1.952188853857527e-06,
        -2.0372820256128345e-07,
        1.7317455431181584e-07,
        -5.769493505254769e-08,
        1.3987648318192366e-08,
        -2.6102052454131325e-09,
        2.5796607527601345e-10,
        7.157368066297476e-11,
        -3.684620123768977e-11,
        4.91172401138342e-12,
    ),
}
_ONE_FROM = {4: 4.0, 8: 6.0}  # where erf rounds to 1


@inline("erf")
def erf(x: Number) -> Number:
    """Return the error function."""
    size = magnitude(x)
    near = fma(size, polynomial(x * x, _SMALL[x.dtype.itemsize]), size)
    away = at_most(size, x.same(_ONE_FROM[x.dtype.itemsize])) - 2
    far = 1 - exp(-polynomial(away, _LARGE[x.dtype.itemsize]))
    return copysign(choose(less(size, x.same(1)), near, far), x)


SPECIAL["erf"] = erf
