"""An S3 server for the code of the documentation: moto's, in this process."""

import pytest
from example_runs import Account
from servers.moto_backend import running_moto


@pytest.fixture(scope="session")
def account():
    """Yield an account on a server that runs as long as the session."""
    with running_moto() as backend:
        yield Account(f"http://{backend.host}:{backend.port}", backend.key, backend.secret)


@pytest.fixture
def cls():
    """Return the driver's class, found by name."""
    from libcloud.storage.providers import get_driver

    import libcloud_aurora  # noqa: F401

    return get_driver("auroraobjects")


@pytest.fixture
def driver(account, cls):
    """Yield a driver of the account, and close it."""
    host, _, port = account.endpoint.removeprefix("http://").partition(":")
    with cls(account.access_key, account.secret_key, False, host, int(port)) as driver:
        yield driver


@pytest.fixture
def container(driver, request):
    """Yield a container of the test's own, and remove it with all that is in it."""
    container = driver.create_container(f"docs-{abs(hash(request.node.nodeid))}")
    yield container
    for obj in container.list_objects():
        obj.delete()
    left = list(driver.ex_iterate_multipart_uploads(container))
    driver.ex_cleanup_all_multipart_uploads(container)
    container.delete()
    assert not left
