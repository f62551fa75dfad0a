"""From a graph to a plan, and the loop that runs it."""

from onnxlite.plan.bind import Binding, bind
from onnxlite.plan.place import Placement, place
from onnxlite.plan.plan import Plan, Step, execute, run_plan

__all__ = ["Binding", "Placement", "Plan", "Step", "bind", "execute", "place", "run_plan"]
