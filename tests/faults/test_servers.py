"""What the page "Which servers" says of moto, asked again."""

import pytest
from live import servers


@pytest.fixture
def server(scene, driver):
    """A container of moto's."""
    return servers.Server(driver, driver.get_container(scene.bucket))


@pytest.mark.parametrize("question", servers.PROBES)
def test_what_it_can_do(server, question):
    """Each cell of the page is what moto does."""
    servers.check("moto", server, question)


def test_the_page_is_current():
    """The page of the docs shows what these tests find."""
    assert servers.PAGE.path.read_text() == servers.render(servers.PAGE.load())
