"""Keys of the ASGI scope by which handlers and protocols exchange objects about one request."""

CONNECTION = "amplifier.connection"  # the request's protocol: a BoundedProtocol or a BoundedWebSocketProtocol
ENDING = "amplifier.ending"  # a callable that ends an endless answer; the protocol calls it when the service stops
DRAINING = "amplifier.draining"  # a callable that the protocol calls when the service stops during the answer
ROUTED = "amplifier.routed"  # the copy of the scope that was routed, if there is one
