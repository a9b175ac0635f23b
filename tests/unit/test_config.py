"""Process configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from kazoo_media.config import Address, Config, ConfigError, variables


def config(**values: str) -> Config:
    return Config.from_environ({f"KAZOO_MEDIA_{k.upper()}": v for k, v in values.items()})


def test_defaults_are_those_of_the_documentation() -> None:
    default = Config.from_environ({})
    assert default.data_dir == Path("var").absolute()
    assert (default.host, default.http_port, default.grpc_port) == ("127.0.0.1", 8000, 50051)
    assert (default.workers, default.drain_s) == (1, 30)
    assert default.converters == frozenset({"sox"})
    assert (default.tls_cert, default.tls_key, default.tls_client_ca) == (None, None, None)
    assert default.envoy is None
    assert (default.blob_url, default.cache_bytes) == (None, 1 << 30)
    assert default.node_name


def test_every_variable_is_a_field_and_every_field_a_variable() -> None:
    assert [each.field for each in variables()] == list(Config.__dataclass_fields__)
    assert all(each.help.endswith(".") and each.kind for each in variables())


def test_values_are_read() -> None:
    read = config(
        data_dir="/srv/media",
        http_port="1",
        grpc_port="65535",
        host="::",
        workers="64",
        node_name="n1",
        converters="sox, ffmpeg",
        drain_s="0",
        target="a:1",
    )
    assert (read.data_dir, read.host) == (Path("/srv/media"), "::")
    assert (read.http_port, read.grpc_port, read.workers, read.drain_s) == (1, 65535, 64, 0)
    assert read.converters == {"sox", "ffmpeg"}
    assert (read.node_name, read.target) == ("n1", "a:1")


def test_the_url_of_the_database_is_hidden_and_checked() -> None:
    url = "postgresql://u:topsecret@a,b/media?target_session_attrs=read-write"
    read = config(metadata_url=url)
    assert read.metadata_url == url
    assert "topsecret" not in repr(read)
    with pytest.raises(ConfigError, match=r"^KAZOO_MEDIA_METADATA_URL=\*\*\*: must be postgresql"):
        config(metadata_url="mysql://u:topsecret@a/media")


def test_an_empty_value_counts_as_unset() -> None:
    assert config(http_port="") == Config.from_environ({})


def test_variables_of_others_are_ignored() -> None:
    assert Config.from_environ({"PATH": "/bin", "KAZOO": "x"}) == Config.from_environ({})


def test_an_unknown_variable_is_named_with_the_one_meant() -> None:
    with pytest.raises(ConfigError, match=r"^KAZOO_MEDIA_DATADIR:.*KAZOO_MEDIA_DATA_DIR"):
        config(datadir="/srv")


def test_an_unknown_variable_like_no_other_lists_all() -> None:
    with pytest.raises(
        ConfigError, match=r"known variables: KAZOO_MEDIA_DATA_DIR, .*KAZOO_MEDIA_API_KEY"
    ):
        Config.from_environ({"KAZOO_MEDIA_QQQQQQQQQQQQQQQQQQQQQQ": "1"})


@pytest.mark.parametrize(
    ("name", "value", "permitted"),
    [
        ("http_port", "0", "an integer from 1 to 65535"),
        ("http_port", "65536", "an integer from 1 to 65535"),
        ("grpc_port", "x", "an integer from 1 to 65535"),
        ("grpc_port", "-1", "an integer from 1 to 65535"),
        ("grpc_port", "٣", "an integer from 1 to 65535"),
        ("workers", "0", "an integer from 1 to 64"),
        ("workers", "1.5", "an integer from 1 to 64"),
        ("drain_s", "3601", "an integer from 0 to 3600"),
        ("host", "example.org", "an IP address"),
        ("tls_cert", "/no/such/file", "an existing file"),
        ("envoy", "/no/such/file", "an existing file"),
        ("converters", "/usr/bin/sox", "file names without folders"),
        ("node_name", 'a"b', "printable ASCII"),
        ("node_name", "a\nb", "printable ASCII"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_permitted(
    name: str, value: str, permitted: str
) -> None:
    with pytest.raises(ConfigError) as failed:
        config(**{name: value})
    assert str(failed.value).startswith(f"KAZOO_MEDIA_{name.upper()}={value!r}: must be ")
    assert permitted in str(failed.value)


def test_a_bucket_is_read() -> None:
    aws = config(blob_url="s3://media").blob_url
    assert aws is not None
    assert (aws.bucket, aws.prefix, aws.endpoint, aws.region) == ("media", "", "", "us-east-1")
    text = "s3://m-1/a/b/?endpoint=https://s3.example:9000/&region=eu-1&virtual_hosted=true"
    own = config(blob_url=text).blob_url
    assert own is not None
    assert (own.bucket, own.prefix, own.region) == ("m-1", "a/b", "eu-1")
    assert (own.endpoint, own.virtual_hosted, str(own)) == ("https://s3.example:9000", True, text)


@pytest.mark.parametrize(
    "url",
    [
        "http://bucket",
        "s3://",
        "s3:///prefix",
        "s3://B",
        "s3://bucket/a//b",
        "s3://bucket#a",
        "s3://bucket?endpoint=example",
        "s3://bucket?endpoint=http://a/b",
        "s3://bucket?endpoint",
        "s3://bucket?key=1",
        "s3://bucket?virtual_hosted=1",
    ],
)
def test_a_wrong_bucket_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"must be s3://BUCKET/PREFIX"):
        config(blob_url=url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    for url in ("s3://key:5ec/2e7@bucket", "s3://bucket?endpoint=http://key:5ec2e7@host"):
        with pytest.raises(ConfigError) as failed:
            config(blob_url=url)
        assert "2e7" not in str(failed.value)
        assert "AWS_SECRET_ACCESS_KEY" in str(failed.value)


def test_certificate_and_key_belong_together(tmp_path: Path) -> None:
    file = tmp_path / "a.pem"
    file.touch()
    with pytest.raises(ConfigError, match="set both or neither"):
        config(tls_cert=str(file))
    with pytest.raises(ConfigError, match="KAZOO_MEDIA_TLS_CLIENT_CA requires"):
        config(tls_client_ca=str(file))
    both = config(tls_cert=str(file), tls_key=str(file), tls_client_ca=str(file))
    assert both.tls_client_ca == file


def test_the_two_ports_must_differ() -> None:
    with pytest.raises(ConfigError, match="are both 7000"):
        config(http_port="7000", grpc_port="7000")


def test_secrets_are_never_shown() -> None:
    secret = config(api_key="5ec2e7")
    assert secret.api_key == "5ec2e7"
    assert "5ec2e7" not in repr(secret)
    assert secret.describe()["KAZOO_MEDIA_API_KEY"] == "***"
    assert config().describe()["KAZOO_MEDIA_API_KEY"] == ""


def test_what_is_shown_can_be_read_again() -> None:
    shown = config(converters="b,a", workers="3").describe()
    assert Config.from_environ(shown).describe() == shown


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("9100", Address("127.0.0.1", 9100)),
        ("0.0.0.0:9100", Address("0.0.0.0", 9100)),
        ("[::1]:9100", Address("::1", 9100)),
        ("", None),
    ],
)
def test_metrics_are_local_unless_an_address_is_given(given: str, address: Address | None) -> None:
    assert config(metrics_port=given).metrics_port == address


@pytest.mark.parametrize(
    "given", ["0", "65536", "localhost:9100", "9100:127.0.0.1", "a", ":", "1:2:3"]
)
def test_an_invalid_address_of_the_metrics_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"KAZOO_MEDIA_METRICS_PORT=.*port from 1 to 65535"):
        config(metrics_port=given)


def test_no_two_ports_may_be_the_same() -> None:
    with pytest.raises(ConfigError, match="HTTP_PORT and KAZOO_MEDIA_METRICS_PORT are both 8000"):
        config(metrics_port="8000")


def test_an_address_is_shown_as_it_is_typed() -> None:
    shown = config(metrics_port="[::1]:9100").describe()
    assert shown["KAZOO_MEDIA_METRICS_PORT"] == "[::1]:9100"
