"""Servers and clients for the tests."""

import itertools
import resource
import shutil

import pytest

import support

_names = itertools.count(1)


def pytest_collection_modifyitems(items):
    if not support.BINARY.is_file():
        raise pytest.UsageError(f"no program at {support.BINARY}; build it or set KEYSTEAD_BIN")
    # Core dumps on, so that a program which does not switch them off is found out.
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that neither restart it nor move its clock.

    Tests on it are kept apart by accounts.
    """
    server = support.Server(tmp_path_factory.mktemp("shared") / "home").start()
    yield server
    status = server.stop()
    assert status == 0, f"the shared server ended with {status}:\n{server.output()[-4000:]}"
    assert "panicked" not in server.output(), server.output()[-4000:]


@pytest.fixture
def make_server(tmp_path):
    """Makes servers of the test's own, each in its own home, and ends them."""
    made = []

    def make(**parameters):
        server = support.Server(tmp_path / f"home-{next(_names)}", **parameters)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        if server.log.exists():
            assert "panicked" not in server.output(), server.output()[-4000:]


@pytest.fixture
def own_server(make_server):
    """A started server of the test's own, for restarts and clock moves."""
    return make_server().start()


@pytest.fixture
def account():
    return support.new_account()


@pytest.fixture
def kms(server, account):
    """A client of an account that nobody else uses."""
    return server.client(account)


@pytest.fixture
def key(kms):
    """The metadata of a new symmetric key of `kms`."""
    return support.create(kms)


@pytest.fixture(scope="session")
def openssl():
    path = shutil.which("openssl")
    if path is None:
        pytest.skip("no openssl command: it is the judge of key pairs")
    return path
