"""Two devices out of one processor, for the tests of distribution; it must be said before TensorFlow first computes."""

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
