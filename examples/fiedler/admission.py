"""Whom the proxy admits: the same as the library on the port of the tools, from the same variables.

Happy path: problem() returns None for a private peer, or for one with the token. Failure: (status, text), as the library
responds. SECURITY.md describes the rules; tests/fiedler compares both ports.
"""
import hashlib
import hmac
import ipaddress
import re

PRIVATE = [ipaddress.ip_network(text) for text in (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
    "::1/128", "fe80::/10", "fc00::/7")]
LOCAL_NAMES = (".localhost", ".local", ".internal", ".svc", ".cluster.local")
SPACE = " \t"  # RFC 9110 section 5.6.3: not part of a value
PUBLIC_PATHS = ("/healthz", "/readyz")
NOT_PRIVATE = (403, "only private addresses may connect: set ICCM_AUTH_TOKEN or ICCM_ALLOW_PUBLIC=1 on the server to "
                    "admit others")
REBINDING = (403, "possible DNS rebinding: add this Host to ICCM_ALLOWED_HOSTS of the server, or send the token")
FOREIGN_ORIGIN = (403, "the Origin header is not the server's: add it to ICCM_ALLOWED_ORIGINS of the server, or send the "
                       "token")
NO_TOKEN = (401, "this server requires a token: send Authorization: Bearer <token>")
WRONG_TOKEN = (401, "invalid token for this server")


class Admission:
    def __init__(self, token, allow_public, origins, hosts, tls):
        """origins, hosts: as in ICCM_ALLOWED_ORIGINS and ICCM_ALLOWED_HOSTS. tls: whether the proxy speaks TLS."""
        self.digest = digest(token) if token else None
        self.allow_public, self.tls = allow_public, tls
        self.origins = [normalized(entry) for entry in entries(origins)]
        self.hosts = [without_root_dot(split_authority(entry)[0]) for entry in entries(hosts)]

    def peer_problem(self, address):
        """address: of the TCP connection."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if self.allow_public or self.digest or any(ip in network for network in PRIVATE):
            return None
        return NOT_PRIVATE

    def problem(self, method, path, headers):
        """headers: a multi-dictionary with getall()."""
        token_problem = self.token_problem(headers.getall("Authorization", []))
        if self.digest is None or token_problem is not None:
            problem = self.page_problem(method, path, headers)
            if problem is not None:
                return problem
        return None if path in PUBLIC_PATHS and method in ("GET", "HEAD") else token_problem

    def token_problem(self, values):
        if self.digest is None:
            return None
        if not values:
            return NO_TOKEN
        scheme, _, token = values[0].strip(SPACE).partition(" ")
        same = hmac.compare_digest(digest(token.lstrip(" ")), self.digest)
        return None if len(values) == 1 and scheme.lower() == "bearer" and same else WRONG_TOKEN

    def page_problem(self, method, path, headers):
        """Whether a page of another site, or of a name that was bound anew, sends the request."""
        hosts, origins = ([value.strip(SPACE) for value in headers.getall(name, [])] for name in ("Host", "Origin"))
        is_private_page = method in ("GET", "HEAD") and path not in PUBLIC_PATHS
        if (origins or is_private_page) and not all(map(self.is_host_admitted, hosts)):
            return REBINDING
        if not origins:
            return None
        origin = normalized(origins[0])
        listed = "*" in self.origins or origin in self.origins
        same = len(hosts) == 1 and self.is_same_origin(hosts[0], origin)
        return None if len(origins) == 1 and (listed or same) else FOREIGN_ORIGIN

    def is_host_admitted(self, authority):
        host = split_authority(authority)[0]
        if is_address(host) or "*" in self.hosts:
            return True
        if not re.fullmatch(r"[A-Za-z0-9._-]*", host):
            return False
        name = without_root_dot(host).lower()
        local = any(name.endswith(suffix) and name != suffix for suffix in LOCAL_NAMES)
        return "." not in host or local or name in ("localhost", *self.hosts)

    def is_same_origin(self, authority, origin):
        scheme, _, page = origin.partition("://")
        if scheme not in (("https", "wss") if self.tls else ("http", "ws")) or not page:
            return False
        (host, port), (page_host, page_port) = split_authority(authority.lower()), split_authority(page)
        if page_host != host or not re.fullmatch(r"\d{1,5}", page_port or "0"):
            return False
        default = "443" if self.tls else "80"
        return ((port or default) == (page_port or default) or is_address(host) or host == "localhost"
                or host.endswith(".localhost"))


def digest(token):
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def entries(text):
    return [entry.strip(SPACE) for entry in (text or "").lower().split(",") if entry.strip(SPACE)]


def split_authority(text):
    """(host, port): the brackets of an IPv6 address are part of the host; the port is None if there is none."""
    bracket = text.find("]") + 1 if text.startswith("[") else 0
    host, colon, port = text[bracket:].partition(":")
    return text[:bracket] + host, port if colon else None


def is_address(host):
    inner = host[1:-1].partition("%")[0] if host.startswith("[") and host.endswith("]") else host
    try:
        return ipaddress.ip_address(inner).version == (6 if inner is not host and host.startswith("[") else 4)
    except ValueError:
        return False


def without_root_dot(host):
    return host[:-1] if host.endswith(".") else host


def normalized(origin):
    """Lower case, without a trailing slash and the default port of the scheme."""
    origin = origin.lower().removesuffix("/")
    scheme, _, authority = origin.partition("://")
    default = {"http": "80", "ws": "80", "https": "443", "wss": "443"}.get(scheme)
    host, port = split_authority(authority)
    return f"{scheme}://{host}" if default is not None and port == default else origin
