"""Which search a process plans with: the interpreted one, or the compiled one where the process asked for it. Their answers are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.domain.errors import Usage

if TYPE_CHECKING:
    from agent.routing.problem import Problem
    from agent.routing.search import Search


class _Engine:
    """What this process uses."""

    compiled = False


def compiled() -> bool:
    """Whether this process asked for compiled searches."""
    return _Engine.compiled


def search_over(problem: Problem, known: Search | None = None) -> Search:
    """A search over the problem's paths; `known` is one over the first of them, to go on from."""
    if _Engine.compiled:
        from agent.routing.compiled import CompiledSearch

        return CompiledSearch(problem, known)
    from agent.routing.search import Search

    return Search(problem, known)


def compile_searches(wanted: bool = True) -> None:
    """From now on this process plans with compiled searches: worth it for who plans more than a few orders. Loading takes a third of a second, compiling
    for the first time on a machine some twenty.

    Raises Usage NO_COMPILER where the compiler is not installed, or not one for this numpy.
    """
    if wanted:
        try:
            import agent.routing.compiled  # noqa: F401
        except ImportError as error:
            raise Usage(
                "NO_COMPILER", f"compiled searches: {error}", "install fairlead with its extra `fast`"
            ) from error
    _Engine.compiled = wanted


__all__ = ["compile_searches", "compiled", "search_over"]
