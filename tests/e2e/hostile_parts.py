"""What hostile requests are made of: parts that are odd, broken, too long, or right."""

from __future__ import annotations

READS = ("GET", "GET", "GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")
ODD_METHODS = ("TRACE", "PROPFIND", "get", "Put", "X" * 300, "M-SEARCH", "PURGE", "CONNECT")
SCRAPS = (
    *("%00", "%ff", "%2F", "%252F", "%25", "%", "%zz", "%C5%BC", "..", "/../", "//", ";", ":", "+"),
    *("{media_id}", "~", "'", '"', "%0d%0a", "%20", "\\", "%u2603", "$(id)", "a" * 900, "*", "="),
)
VALUES = (
    *("", "0", "-1", "9" * 40, "1e9", "true", "false", "null", "NaN", "[", "[]", '["a","b"]', "{}"),
    *(
        '{"a":1}',
        "[[[[",
        '["a",',
        "en-us",
        "EN-us",
        "csv",
        "json",
        "audio/*",
        "*/*;q=0",
        "text/html",
    ),
    *("PUT", "DELETE", "patch", "OPTIONS", "original", "normalized", "a" * 2000, "\u017c\u20ac"),
    *("62167219200", "999999999999999", "9999999999999999", "-5", "g20AAAABYQ", "g20A____", "g2o="),
    *("\0", "\n", "a\r\nb: c", "%41", "..", "'; drop table media; --", "\U0001f600", "%ff"),
)
QUERY_KEYS = (
    *("filter_name", "filter_not_language", "filter_a.b.c", "filter_id", "filter_", "filter_n..m"),
    *("has_key", "key_missing", "has_value", "value_missing", "missing_value", "created_from"),
    *("created_to", "modified_from", "page_size", "start_key", "paginate", "descending", "accept"),
    *(
        "verb",
        "pretty_print",
        "rendition",
        "filename",
        "inline",
        "hard_delete",
        "_",
        "",
        "account_id",
    ),
    *("media_id", "body", "x[]"),
)
TOKEN_KEYS = ("auth_token", "AUTH_TOKEN", "auth-token", "auth%5Ftoken", "%61uth_token")
TYPES = (
    *("application/json", "application/json; charset=utf-8", "application/x-json", "text/plain"),
    *(
        "application/x-www-form-urlencoded",
        "audio/wav",
        "audio/mpeg",
        "AUDIO/MP3; x=y",
        "video/webm",
    ),
    *("application/octet-stream", "application/base64", "application/x-base64", "application/pdf"),
    *(
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        'multipart/mixed; boundary="b',
        ",",
    ),
    *("application/grpc", "application/grpc+json", ";;;", "audio/", "a/b, audio/wav", "\xff", '"'),
)
HEADERS = (
    *("accept", "range", "if-range", "if-match", "if-none-match", "x-request-id", "origin", "te"),
    *(
        "expect",
        "content-transfer-encoding",
        "content-encoding",
        "accept-encoding",
        "x-pretty-print",
    ),
    *(
        "x-auth-account-id",
        "x-rest-uri",
        "x-rest-method",
        "x-rest-peer",
        "x-envoy-retry-on",
        "cookie",
    ),
    *(
        "x-envoy-original-path",
        "grpc-timeout",
        "grpc-encoding",
        "a-bin",
        "content_type",
        "x!y",
        "via",
    ),
    *(
        "x-http-status",
        "x-media-length",
        "forwarded",
        "x-forwarded-for",
        "upgrade",
        "content-range",
    ),
    *("grpc-status", "x-forwarded-proto", "access-control-request-method", "date", "referer"),
)
HEADER_VALUES = (
    *(
        "",
        "*",
        "*/*",
        "audio/*;q=0.5, application/json",
        "text/html",
        "audio/mpeg",
        "gzip, br",
        "x",
    ),
    *(
        '"1-x"',
        'W/"1-x"',
        "bytes=0-9",
        "bytes=-1",
        "bytes=9-",
        "bytes=99999999-",
        "bytes",
        "base64",
    ),
    *(
        "bytes=0-1,4-5",
        "100-continue",
        "trailers",
        "true",
        "%%%",
        "\xe9\xff",
        '"',
        "," * 500,
        "chunked",
    ),
    *(
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "q=0;q=1;q=2",
        "a" * 9000,
        "1S",
        "=?utf-8?b?x?=",
        "-1",
        "\t",
    ),
)
SENSIBLE = (
    *(
        "range: bytes=0-9",
        "range: bytes=99999-",
        "if-none-match: *",
        "if-match: *",
        'if-match: "1-x"',
    ),
    *("accept: audio/*", "accept: text/csv", "accept-encoding: gzip", "origin: https://x"),
    *("expect: 100-continue", "x-request-id: mine", "x-pretty-print: true"),
)
BROKEN_HEADS = (
    *(
        b"",
        b"\r\n\r\n",
        b"GET",
        b"GET /v2/media",
        b"GET  /v2/media HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
    ),
    *(
        b"GET /v2/media HTTP/9.9\r\n\r\n",
        b"GET /v2/media HTTP/1.1\n\n",
        b"\x00" * 50,
        b"[]\r\n\r\n",
    ),
    *(b"GET /v2/media HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n", b"GET /v2/media\r\n\r\n"),
    *(b"GET /v2/media HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n", b"G\xffT / HTTP/1.1\r\n\r\n"),
    *(b"GET /v2/media HTTP/1.1\r\nhost: a\r\n: empty\r\n\r\n", b"GET /v2/media HTTP/1.1\r\nhost:"),
    *(b"GET /v2/media HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"),
    *(b"GET http://a/v2/media HTTP/1.1\r\nhost: b\r\n\r\n", b"GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
)
BAD_LENGTHS = (
    "-1",
    "x",
    "",
    "1 1",
    "0x10",
    "99999999999999999999999",
    "1.0",
    "+5",
    "3, 3",
    "3, 4",
)
BAD_CHUNKS = (
    *(
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-1\r\n\r\n",
        b"5\r\nab",
        b"fffffffffffffffff\r\n",
        b"2\r\nabc\r\n0",
    ),
    *(
        b"2 ;x\r\nab\r\n0\r\n\r\n",
        b"\r\n\r\n",
        b"2\nab\n0\n\n",
        b"0\r\nx y z\r\n\r\n",
        b"00000000;",
    ),
)
