"""The SSRF rule at the first door: which URLs may be stored, and which addresses are public."""

import ipaddress
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.egress import HttpSettings, UrlRefused, admits, check_url, network, url_fault
from support.addresses import DISGUISED, NOT_PUBLIC, PUBLIC

PRODUCTION: Final = HttpSettings()
SELF_HOSTED: Final = HttpSettings(allow_private=(network("10.1.0.0/16"),))
LOOPBACK: Final = HttpSettings(allow_private=(network("127.0.0.0/8"),), allow_http=True)

INTERNAL: Final = (
    "intranet",
    "db",
    "printer.local",
    "router.lan",
    "vault.corp",
    "nas.home.arpa",
    "localhost.localdomain",
    "metadata.google.internal",
    "metadata.google.internal.",
    "kubernetes.default.svc.cluster.local",
)
IPV6: Final = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address).filter(lambda address: not address.ipv4_mapped)


def url_of(host: str) -> str:
    return f"https://[{host}]/hook" if ":" in host else f"https://{host}/hook"


def code_of(url: str, settings: HttpSettings = PRODUCTION) -> str | None:
    fault = url_fault(url, settings)
    return None if fault is None else fault.code


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_address_that_is_not_public(address: str) -> None:
    assert not admits(address)
    assert code_of(url_of(address)) == "url_address"


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address(address: str) -> None:
    assert admits(address)
    assert code_of(url_of(address)) is None


@pytest.mark.parametrize("text", ["", "example.com", "127.0.0.1/8", "fe80::1%eth0", "2a00:1450::1%1", "0177.0.0.1"])
def test_what_is_no_address_is_not_admitted(text: str) -> None:
    assert not admits(text)


@settings(deadline=None)  # the machine may be busy
@given(st.ip_addresses(v=4))
def test_mapped_address_is_judged_as_what_it_carries(address: ipaddress.IPv4Address) -> None:
    assert admits(f"::ffff:{address}") is admits(str(address))


@settings(deadline=None)  # the machine may be busy
@given(IPV6.filter(lambda address: address not in ipaddress.ip_network("2000::/3")))
def test_ipv6_outside_global_unicast_is_never_public(address: ipaddress.IPv6Address) -> None:
    assert not admits(str(address))


@settings(deadline=None)  # the machine may be busy
@given(st.ip_addresses(v=4) | IPV6)
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not (admits(str(address)) and (address.is_private or address.is_reserved or address.is_multicast))


def test_setting_admits_its_networks_and_no_more() -> None:
    admitted = (network("10.1.0.0/16"), network("fd12::/32"))
    assert admits("10.1.2.3", admitted)
    assert admits("::ffff:10.1.2.3", admitted)
    assert admits("fd12::1", admitted)
    assert not admits("10.2.0.1", admitted)
    assert not admits("127.0.0.1", admitted)
    assert not admits("fd13::1", admitted)


@pytest.mark.parametrize("host", DISGUISED)
def test_address_in_disguise(host: str) -> None:
    assert code_of(f"https://{host}/hook") == "url_address"


@pytest.mark.parametrize("host", INTERNAL)
def test_name_of_a_private_network(host: str) -> None:
    assert code_of(f"https://{host}/hook") == "url_host"
    assert code_of(f"https://{host}/hook", SELF_HOSTED) is None  # its addresses are still judged at each connect


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "url_malformed"),
        ("example.com/hook", "url_malformed"),
        ("https://", "url_malformed"),
        ("https:///hook", "url_malformed"),
        ("https:example.com", "url_malformed"),
        ("https://exa mple.com", "url_malformed"),
        ("https://exa\tmple.com", "url_malformed"),
        ("https://example.com/a\r\nX-B: c", "url_malformed"),
        ("https://example.com\\@10.0.0.1/", "url_malformed"),
        ("https://example.com:65536/", "url_malformed"),
        ("https://example.com:4 43/", "url_malformed"),
        ("https://[v1.a]/", "url_malformed"),
        ("https://[::1/", "url_malformed"),
        ("https://a.com/\ud800", "url_malformed"),
        ("http://example.com/", "url_scheme"),
        ("ftp://example.com/", "url_scheme"),
        ("file:///etc/passwd", "url_scheme"),
        ("javascript:alert(1)", "url_scheme"),
        ("//example.com/", "url_scheme"),
        ("https://user@example.com/", "url_credentials"),
        ("https://user:password@example.com/", "url_credentials"),
        ("https://:password@example.com/", "url_credentials"),
        ("https://example.com@10.0.0.1/", "url_credentials"),
        ("https://example.com/#part", "url_fragment"),
        ("https://example.com/#", "url_fragment"),
        ("https://example.com:22/", "url_port"),
        ("https://example.com:80/", "url_port"),
        ("https://example.com:0/", "url_port"),
        ("https://example..com/", "url_host"),
        ("https://-example.com/", "url_host"),
        ("https://example.com%00.net/", "url_host"),
        (f"https://{'a' * 64}.com/", "url_host"),
        (f"https://{'a.' * 127}com/", "url_host"),
        (f"https://example.com/{'a' * 2048}", "url_too_long"),
    ],
)
def test_url_that_breaks_the_contract(url: str, code: str) -> None:
    fault = url_fault(url, PRODUCTION, pointer="/endpoint/url")
    assert fault is not None
    assert (fault.code, fault.pointer) == (code, "/endpoint/url")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "HTTPS://EXAMPLE.COM/Hook?tenant=1&x=%20y",
        "https://example.com:443/",
        "https://example.com:8443/",
        "https://hooks_a.example.com/[x]",
        "https://xn--9ca.fr/",
        "https://é.fr/ü",
        "https://example.com./",
    ],
)
def test_url_that_may_be_called(url: str) -> None:
    assert url_fault(url, PRODUCTION) is None


def test_loopback_only_where_a_setting_admits_it() -> None:
    for url in ("http://127.0.0.1:8080/hook", "http://localhost:8080/hook", "http://127.0.0.1/", "https://127.9.9.9/"):
        assert code_of(url, LOOPBACK) is None
        assert code_of(url) is not None
    assert code_of("http://192.168.0.1/", LOOPBACK) == "url_address"
    assert code_of("http://127.1/", LOOPBACK) == "url_address"  # a disguise is refused whatever it hides
    assert code_of("http://127.0.0.1:443/", LOOPBACK) == "url_port"


def test_check_raises_with_the_fault() -> None:
    check_url("https://example.com/hook", PRODUCTION)
    with pytest.raises(UrlRefused) as refused:
        check_url("https://10.0.0.1/hook", PRODUCTION, pointer="/url")
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [("/url", "url_address")]
    assert refused.value.status == 422


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{1,30}(/.*)?", fullmatch=True))
def test_no_text_breaks_the_check(text: str) -> None:
    url_fault(text, PRODUCTION)
    url_fault(text, LOOPBACK)
