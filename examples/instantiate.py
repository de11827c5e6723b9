"""Find the driver by name and make one; this sends nothing yet."""

from libcloud.storage.providers import get_driver
from libcloud.storage.types import Provider

import libcloud_aurora  # registers the driver

cls = get_driver(Provider.AURORAOBJECTS)
driver = cls("api key", "api secret key")
