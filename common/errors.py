"""What ends a training, beside a user's mistake."""


class NonFiniteLoss(Exception):
    """A loss, gradient or weight became infinite or not a number."""
