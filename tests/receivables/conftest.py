from support.api import *  # noqa: F403 - the fixtures of every test that speaks to the API
