"""What can classify: networks, packages, the registry and the engines that run them."""
