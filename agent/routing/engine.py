"""Which search a process plans with: the interpreted one, or the compiled one where the process asked for it. Their answers are the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.domain.errors import Usage

if TYPE_CHECKING:
    from agent.domain.instruments import AssetId
    from agent.routing.dual import Dual
    from agent.routing.problem import Problem
    from agent.routing.search import Search
    from agent.routing.support import Supports
    from agent.routing.tables import Tables


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


def supports_over(problem: Problem, in_time: Callable[[], bool]) -> Supports:
    """Sets of one problem's legs."""
    if _Engine.compiled:
        from agent.routing.compiled_support import CompiledSupports

        return CompiledSupports(problem, in_time)
    from agent.routing.support import Supports

    return Supports(problem, in_time)


def dual_over(
    tables: Tables,
    nodes: frozenset[AssetId],
    sources: Sequence[AssetId],
    amount: float,
    targets: Mapping[AssetId, float],
    gas_rate: Mapping[str, float],
    ways: Collection[tuple[AssetId, AssetId]] | None = None,
    circular: bool = False,
) -> Dual:
    """The dual of an order, as `Dual` takes it. Prices are proposals: the two engines may find others, and what either's prove is exact."""
    if _Engine.compiled:
        from agent.routing.compiled_dual import CompiledDual

        return CompiledDual(tables, nodes, sources, amount, targets, gas_rate, ways, circular)
    from agent.routing.dual import Dual

    return Dual(tables, nodes, sources, amount, targets, gas_rate, ways, circular)


def compile_searches(wanted: bool = True) -> None:
    """From now on this process plans with compiled searches: worth it for who plans more than a few orders. Loading takes a second, compiling for
    the first time on a machine half a minute.

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


__all__ = ["compile_searches", "compiled", "dual_over", "search_over", "supports_over"]
