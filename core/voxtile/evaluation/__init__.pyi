from .callback import EvaluateCallback as EvaluateCallback
from .figures.baselines import permutations as permutations
from .figures.bootstrap import SubjectBootstrap as SubjectBootstrap
from .figures.bootstrap import interval_over_seeds as interval_over_seeds
from .figures.bootstrap import logit_interval as logit_interval
from .figures.bootstrap import normal_interval as normal_interval
from .figures.figures import Difference as Difference
from .figures.rows import Row as Row
from .inputs.embedded import EmbeddedUnits as EmbeddedUnits
from .inputs.embedded import embed_units as embed_units
from .inputs.texts import embed_texts as embed_texts
from .inputs.units import Units as Units
from .inputs.units import require_units as require_units
from .inputs.units import select_units as select_units
from .options import Options as Options
from .report.lines import Line as Line
from .report.lines import LinesSection as LinesSection
from .report.section import Section as Section
from .report.section import Source as Source
from .result import Result as Result
from .results import Evaluation as Evaluation
from .tasks.kind import TaskKind as TaskKind
from .tasks.place import Place as Place
from .tasks.task import Task as Task

__all__ = [
    "Difference",
    "EmbeddedUnits",
    "EvaluateCallback",
    "Evaluation",
    "Line",
    "LinesSection",
    "Options",
    "Place",
    "Result",
    "Row",
    "Section",
    "Source",
    "SubjectBootstrap",
    "Task",
    "TaskKind",
    "Units",
    "embed_texts",
    "embed_units",
    "interval_over_seeds",
    "logit_interval",
    "normal_interval",
    "permutations",
    "require_units",
    "select_units",
]
