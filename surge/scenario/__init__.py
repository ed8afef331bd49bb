"""Election weeks as small readable files: loaded, checked, and worked out to offices and visitors."""

from surge.scenario.load import load, names, parse
from surge.scenario.model import Scenario
from surge.scenario.offices import Office, offices_of
from surge.scenario.reader import ScenarioError
from surge.scenario.visits import Visit, Visits

__all__ = ["Office", "Scenario", "ScenarioError", "Visit", "Visits", "load", "names", "offices_of", "parse"]
