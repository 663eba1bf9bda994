"""Ways to reach a recipient: one subpackage each, all behind `port.Channel`."""
