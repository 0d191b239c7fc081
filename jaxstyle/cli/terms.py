"""`jaxstyle terms`: what may be added to the loss."""

import inspect

from jaxstyle.cli.show import echo


def terms() -> None:
    """List the kinds of [[loss.terms]]: what each compares, its keys with their defaults, and where it comes from.

    One is added to a run by: --set 'loss.terms=[{kind = "laplacian", weight = 100.0}]'

    Example: jaxstyle terms
    """
    from jaxstyle import terms as kinds
    from jaxstyle.config.terms import keys_of

    for name in kinds.names():
        kind = kinds.load(name)
        model = keys_of(kind)
        defaults = model() if all(not field.is_required() for field in model.model_fields.values()) else None
        keys = [
            f"{key} = {getattr(defaults, key)}" if defaults and key != "layers" else key for key in model.model_fields
        ]
        echo(f"{name}: {', '.join(['weight = 1.0', *keys])}")
        echo(f"{inspect.getmodule(kind).__doc__}".strip())
        for line in (inspect.getdoc(kind) or "").splitlines():
            echo(f"    {line}".rstrip())
        echo("")
