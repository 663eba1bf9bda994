"""Which documents an EN 16931 type code (BT-3, UNTDID 1001) names: a claim, a credit, or neither."""

from typing import Final

# The lists of EN 16931 with the French additions (471-473, 500-503), less the proforma (325), which claims nothing.
# A debit note (80, 82, 84, 383) is a claim like any other.
INVOICES: Final = frozenset(
    """
    71 80 82 84 102 130 202 203 204 211 218 219 295 326 331 380 382 383 384 385 386 387 388 389 390 393 394 395 456
    457 471 472 473 500 501 527 553 575 623 633 751 780 817 870 875 876 877 935
    """.split()
)
CREDIT_NOTES: Final = frozenset("81 83 261 262 296 308 381 396 420 458 502 503 532".split())

# Written by the buyer in the seller's name: still the seller's claim. The German "Gutschrift" is one of these.
SELF_BILLED: Final = frozenset("261 389 471 473 500 501 502".split())
FACTORED: Final = frozenset("393 396 472 473 501 502".split())
CORRECTIONS: Final = frozenset("384 471 472 473".split())
ACCOUNTING_ONLY: Final = "751"
