"""From a graph to a plan, and the loop that runs it."""

from onnxlite.plan.bind import Binding, bind
from onnxlite.plan.place import Placement, place
from onnxlite.plan.plan import Plan, Step, execute, run_plan
from onnxlite.plan.prepare import prepare

__all__ = ["Binding", "Placement", "Plan", "Step", "bind", "execute", "place", "prepare", "run_plan"]
