"""Public IP addresses.

Private, loopback, link-local, multicast, reserved and documentation ranges (RFC 1918, 5737, 3849, 6890) name nobody and
stay. So do four numbers of which the first is below 10 and none above 99, such as 5.10.81.1: nearly all of these are
versions or sections, and of the addresses that begin below 10, one in sixteen is like that.
"""

import ipaddress
import re
from collections.abc import Iterator

IPV4 = re.compile(r"[0-9](?<![0-9A-Za-z_.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_]|\.[0-9])")
IPV6 = re.compile(r"[23](?<![0-9A-Za-z_:.][23])[0-9A-Fa-f]{3}:[0-9A-Fa-f:.]{1,41}")
"""Global unicast is 2000::/3 (RFC 4291)."""
VERSION = re.compile(r"(?:version|release|rev|ver|build|firmware|v)[.:]?\s{0,2}$", re.IGNORECASE)
"""Before four numbers that are a version."""
LOOK_BACK = 12


def find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of public addresses, IPv4 and IPv6."""
    for match in IPV4.finditer(text):
        if _is_public(match[0]) and not VERSION.search(text[max(0, match.start() - LOOK_BACK) : match.start()]):
            yield match.span()
    for match in IPV6.finditer(text):
        found = match[0].rstrip(".:")
        if found.count(":") >= 2 and _is_public(found):
            yield match.start(), match.start() + len(found)


def _is_public(spelled: str) -> bool:
    try:
        address = ipaddress.ip_address(spelled)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast:
        return False
    return address.version == 6 or address.packed[0] >= 10 or max(address.packed) > 99
