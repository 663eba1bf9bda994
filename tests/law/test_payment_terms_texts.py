"""Free text of BT-20: what is plain is read, what may mean two things is not."""

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from law.payment_terms.grammar import written
from law.payment_terms.texts import read_text

PLAIN = {
    "45 jours fin de mois le 10": "net_eom:45@10",
    "30 JOURS FIN DE MOIS LE 15": "net_eom:30@15",
    "30 jours fin de mois le 15 du mois suivant": "net_eom:30@15",
    "30 days end of month on the 10th": "net_eom:30@10",
    "30 Tage Monatsende den 15.": "net_eom:30@15",
    "fin de mois + 45 jours": "eom_net:45",
    "45 jours à compter de la fin du mois": "eom_net:45",
    "30 days after end of month": "eom_net:30",
    "45 jours puis fin de mois": "net_eom:45",
    "fin de mois": "net_eom:0",
    "30% d'acompte, solde à 30 j": "split:30%=prepaid,rest=net:30",
    "30% à la commande, 30% à 30 jours, solde à 60 jours": "split:30%=prepaid,30%=net:30,rest=net:60",
    "50% deposit, balance net 30 days": "split:50%=prepaid,rest=net:30",
    "30 % Anzahlung, Rest 14 Tage": "split:30%=prepaid,rest=net:14",
    "30 jours date de facture": "net:30",
    "30 jours à compter de la date d'émission de la facture": "net:30",
    "Paiement à 30 jours par virement sous référence 2026-0188": "net:30",
    "Payment due within 30 days of invoice date": "net:30",
    "net 30": "net:30",
    "n/30": "net:30",
    "30 jrs. nets": "net:30",
    "Zahlungsziel 14 Tage": "net:14",
    "Zahlbar innerhalb von 30 Tagen ohne Abzug": "net:30",
    "à réception": "receipt",
    "Paiement à réception de facture": "receipt",
    "comptant": "receipt",
    "Due upon receipt": "receipt",
    "sofort fällig ohne Abzug": "receipt",
    "paiement d'avance": "prepaid",
    "Vorkasse": "prepaid",
    "échéance le 15/05/2026": "on:2026-05-15",
    "Payable au plus tard le 15 mai 2026": "on:2026-05-15",
    "Due by May 15, 2026": "on:2026-05-15",
    "zahlbar bis 15.04.2026 ohne Abzug": "on:2026-04-15",
    "Paiement à 30 jours. Pas d'escompte pour paiement anticipé. En cas de retard, pénalités de 3 fois le taux "
    "légal et indemnité forfaitaire de 40 €.": "net:30",
    "Escompte pour paiement anticipé : néant. Règlement à 60 jours.": "net:60",
}
# "N days end of month" waits for whoever knows the contract.
OPEN = (
    "45 jours fin de mois", "30 days end of month", "45 jours, fin de mois", "30 j fdm", "30 jours EOM",
    "30 Tage zum Monatsende", "Règlement à 30 jours fin de mois, pénalités de retard : 10 %",
)  # fmt: skip
NOT_READ = (
    "", "Virement bancaire", "Merci de votre confiance", "60 jours le 10", "1 mois", "30 jours après livraison",
    "30 days after receipt of invoice", "30 business days", "fin de mois suivant", "Net EOM 30", "30 ou 45 jours",
    "30 jours; 45 jours", "50 % prepaid, 50 % within one month", "payment in 30 days from 01/02/2026",
    "Facture du 15/05/2026, payable selon contrat", "Zahlbar innerhalb 30 Tagen ... 3% Skonto",
    "Der Betrag wird am 20.03.2018 per Lastschrift von Ihrem Konto eingezogen.", "30% d'acompte, 80% à 30 jours",
    "Escompte 2% à 10 jours ou 3% à 5 jours, net 30 jours", "échéance le 31/02/2026", "2 weeks",
    "#SKONTO#TAGE=14#PROZENT=2.25#\n#SKONTO#TAGE=21#PROZENT=1.00#",
)  # fmt: skip
DISCOUNTS = {
    "2/10 net 30": ("net:30", "2", 10),
    "2% 10 days, net 30": ("net:30", "2", 10),
    "10 Tage 3% Skonto, 30 Tage netto": ("net:30", "3", 10),
    "Zahlbar innerhalb 30 Tagen, 3% Skonto innerhalb 10 Tagen": ("net:30", "3", 10),
    "Escompte 2 % sous 8 jours, net à 45 jours": ("net:45", "2", 8),
    "2% d'escompte si paiement sous 10 jours; sinon 30 jours nets": ("net:30", "2", 10),
    "30 days net, 2.5% cash discount if paid within 8 days": ("net:30", "2.5", 8),
    "Payment within 10 days, 2% discount": (None, "2", 10),
    "#SKONTO#TAGE=14#PROZENT=2.25#": (None, "2.25", 14),
}


@pytest.mark.parametrize(("text", "terms"), PLAIN.items())
def test_plain_text_is_read(text: str, terms: str) -> None:
    read = read_text(text)
    assert read.terms is not None
    assert (written(read.terms), read.discount, read.needs_eom_reading) == (terms, None, False)


@pytest.mark.parametrize("text", OPEN)
def test_two_readings_are_never_guessed(text: str) -> None:
    unread = read_text(text)
    assert (unread.terms, unread.needs_eom_reading) == (None, True)
    for reading in ("net_eom", "eom_net"):
        stated = read_text(text, reading)
        assert stated.terms is not None
        assert written(stated.terms).startswith(reading)
        assert not stated.needs_eom_reading


@pytest.mark.parametrize("text", NOT_READ)
def test_what_may_mean_two_things_is_not_read(text: str) -> None:
    read = read_text(text, "net_eom")
    assert (read.terms, read.needs_eom_reading) == (None, False)


@pytest.mark.parametrize(("text", "expected"), DISCOUNTS.items())
def test_discounts_stand_beside_the_terms(text: str, expected: tuple[str | None, str, int]) -> None:
    read = read_text(text)
    assert read.discount is not None
    assert (read.terms and written(read.terms), str(read.discount.percent), read.discount.days) == expected


def test_days_that_the_text_names_itself() -> None:
    read = read_text("Zahlbar innerhalb 30 Tagen netto bis 04.04.2018, 3% Skonto innerhalb 10 Tagen bis 15.03.2018")
    assert read.terms is not None
    assert written(read.terms) == "on:2018-04-04"
    assert read.discount is not None
    assert read.discount.last_on(date(2018, 3, 5)) == date(2018, 3, 15)
    short = read_text("2/10 net 30").discount
    assert short is not None
    assert short.last_on(date(2026, 3, 1)) == date(2026, 3, 11)


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["30", "jours", "fin de mois", "le", "10", "%", ","])).map(" ".join)
)
def test_any_text_is_read_or_not(text: str) -> None:
    read_text(text, "eom_net")


@pytest.mark.parametrize(
    "piece", ["30 jours ", "2% ", "escompte ", ",", "retard", "(", "le 1 ", "fin de mois ", "a ", "3%skonto"]
)
def test_a_hostile_text_costs_little(piece: str) -> None:
    begun = time.perf_counter()
    read_text(piece * 100_000)
    assert time.perf_counter() - begun < 1
