"""What the page "Which servers" says of this Ceph, asked again."""

import pytest
from live import servers

import libcloud_aurora


@pytest.fixture(scope="module")
def server(cluster):
    """A container, as a driver that speaks https knows it."""
    with libcloud_aurora.AuroraObjectsStorageDriver(
        *cluster.owner[1:],
        host=cluster.host,
        port=cluster.tls_port,
        ex_verify_ssl=str(cluster.ca_file),
    ) as driver:
        container = driver.create_container("which-servers")
        yield servers.Server(driver, container)
        driver.ex_cleanup_all_multipart_uploads(container)
        driver.ex_empty_container(container)
        container.delete()


@pytest.mark.parametrize("question", servers.PROBES)
def test_what_it_can_do(server, cluster, question):
    """Each cell of the page is what this server does."""
    version = ".".join(map(str, cluster.version))
    servers.check(f"Ceph {version}", server, question)
