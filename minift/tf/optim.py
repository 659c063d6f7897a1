"""Gradients to weights in Keras: learning rates that rise and fall, and AdamW, written out."""

from collections.abc import Iterable
from typing import Any

from minift.tf.backend import Tensor, keras, tf

NOT_DECAYED = ("bias", "LayerNorm", "layer_norm")  # parts of the paths of variables that weight decay leaves alone

Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("minift")
class PolynomialDecay(keras.optimizers.schedules.PolynomialDecay):
    """Go from one learning rate to another, as a power of the part of the steps that is left.

    lr(step) = (initial − end) · (1 − step/decay_steps)^power + end, and `end` afterwards; with `cycle`, `decay_steps`
    is multiplied until the step fits in. With power 1 and end 0 it is the default schedule of `Trainer`. Arguments and
    numbers are Keras'; a rate may also be an integer.
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, *others: Any, **options: Any):
        if decay_steps <= 0:
            raise ValueError(f"decay_steps must be above 0, not {decay_steps}")
        super().__init__(float(initial_learning_rate), decay_steps, *others, **options)


@keras.saving.register_keras_serializable("minift")
class WarmUp(Schedule):
    """Rise from 0 to `initial_learning_rate`, then follow another schedule, whose step 0 is the first after the rise.

    lr(step) = initial_learning_rate · (step/warmup_steps)^power, then decay_schedule_fn(step − warmup_steps).
    Re-implements transformers 4's optimization_tf.py (``WarmUp``); Goyal et al., 2017,
    https://arxiv.org/abs/1706.02677.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_schedule_fn: Schedule,
        warmup_steps: int,
        power: float = 1.0,
        name: str = "WarmUp",
    ):
        super().__init__()
        if warmup_steps <= 0:
            raise ValueError(f"warmup_steps must be above 0, not {warmup_steps}")
        self.initial_learning_rate = initial_learning_rate
        self.decay_schedule_fn = decay_schedule_fn
        self.warmup_steps = warmup_steps
        self.power = power
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step, warmup = tf.cast(step, tf.float32), tf.cast(self.warmup_steps, tf.float32)
        rising = self.initial_learning_rate * (step / warmup) ** self.power
        return tf.where(step < warmup, rising, self.decay_schedule_fn(tf.maximum(step - warmup, 0.0)))

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("initial_learning_rate", "warmup_steps", "power", "name")}
        return config | {"decay_schedule_fn": keras.saving.serialize_keras_object(self.decay_schedule_fn)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        schedule = keras.saving.deserialize_keras_object(config["decay_schedule_fn"])
        return cls(**(config | {"decay_schedule_fn": schedule}))


@keras.saving.register_keras_serializable("minift")
class AdamW(keras.optimizers.Optimizer):
    """AdamW, "Decoupled Weight Decay Regularization" (Loshchilov & Hutter, 2019), https://arxiv.org/abs/1711.05101.

    The formula is that of `minift.optim.adamw` and of torch. With the moments m and v, t counted from 1:

        θ ← θ − lr·weight_decay·θ          (not for biases and LayerNorm)
        θ ← θ − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)

    ``keras.optimizers.AdamW`` adds ε to √v instead, before the bias correction: as if ε were ε/√(1 − β₂ᵗ), 32 times as
    large in the first step. Its defaults are another ε, 1e-7, and a decay of 0.004, of every variable.

    Args:
        learning_rate: a number or a schedule.
        beta_1, beta_2: decay of the mean and of the mean square of the gradients, each in [0, 1).
        epsilon, weight_decay: ≥ 0.
        not_decayed: variables with one of these texts in their paths do not decay.
        options: Keras' own for every optimizer, such as `clipnorm` or `global_clipnorm`.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        not_decayed: Iterable[str] = NOT_DECAYED,
        name: str = "AdamW",
        **options: Any,
    ):
        super().__init__(learning_rate, name=name, **options)
        for argument, value in {"beta_1": beta_1, "beta_2": beta_2}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{argument} must be in [0, 1), not {value}")
        for argument, value in {"epsilon": epsilon, "weight_decay": weight_decay}.items():
            if not value >= 0:
                raise ValueError(f"{argument} must be at least 0, not {value}")
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.decay = weight_decay  # Keras' own attribute stays None, or Keras would take it away a second time
        self.not_decayed = tuple(not_decayed)

    def build(self, variables: list[Any]) -> None:
        """Make the moments, m and v, of the shape and dtype of each variable, and see which variables decay."""
        if self.built:
            return
        super().build(variables)
        self.decayed = [not any(part in variable.path for part in self.not_decayed) for variable in variables]
        self.means, self.squares = self.add_optimizer_variables(variables, ["mean", "square"])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable; Keras calls this for each of them."""
        index = self._get_variable_index(variable)
        m, v = self.means[index], self.squares[index]
        lr, gradient = tf.cast(learning_rate, variable.dtype), tf.cast(gradient, variable.dtype)
        gradient = tf.convert_to_tensor(gradient)  # of embeddings come slices
        step = tf.cast(self.iterations + 1, tf.float64)  # 1 − 0.999 has four digits in float32
        correction_1, correction_2 = (tf.cast(1 - b**step, variable.dtype) for b in (self.beta_1, self.beta_2))

        if self.decay and self.decayed[index]:
            self.assign_sub(variable, variable * (lr * self.decay))
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (tf.square(gradient) - v) * (1 - self.beta_2))
        self.assign_sub(variable, lr / correction_1 * m / (tf.sqrt(v / correction_2) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon")}
        return super().get_config() | own | {"weight_decay": self.decay, "not_decayed": list(self.not_decayed)}


def create_optimizer(
    init_lr: float,
    num_train_steps: int,
    num_warmup_steps: int,
    min_lr_ratio: float = 0.0,
    adam_beta1: float = 0.9,
    adam_beta2: float = 0.999,
    adam_epsilon: float = 1e-8,
    adam_clipnorm: float | None = None,
    adam_global_clipnorm: float | None = None,
    weight_decay_rate: float = 0.0,
    power: float = 1.0,
) -> tuple[AdamW, Schedule]:
    """Make an `AdamW` whose rate rises to `init_lr` and falls to `init_lr * min_lr_ratio`; return it and its schedule.

    `num_train_steps` are the updates in all, the warm-up's included; the clipping norms are of each gradient, or of all
    together. Re-implements transformers 4's optimization_tf.py (``create_optimizer``), which falls back to Keras' Adam
    without weight decay; here it is the same `AdamW` either way.

    Raises:
        ValueError: no steps are left after the warm-up.
    """
    if not 0 <= num_warmup_steps < num_train_steps:
        raise ValueError(
            f"num_warmup_steps={num_warmup_steps} must be below num_train_steps={num_train_steps}, and ≥ 0"
        )
    falling = num_train_steps - num_warmup_steps
    schedule = PolynomialDecay(init_lr, falling, end_learning_rate=init_lr * min_lr_ratio, power=power)
    if num_warmup_steps:
        schedule = WarmUp(init_lr, schedule, num_warmup_steps)
    betas = {"beta_1": adam_beta1, "beta_2": adam_beta2}
    clipping = {"clipnorm": adam_clipnorm, "global_clipnorm": adam_global_clipnorm}
    return AdamW(schedule, **betas, epsilon=adam_epsilon, weight_decay=weight_decay_rate, **clipping), schedule
