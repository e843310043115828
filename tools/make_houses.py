"""Make the small table of houses that chapter 6 uses where the real one cannot be fetched.

    python tools/make_houses.py        # writes d2lstab/houses/houses-*.csv

It has the columns of the Kaggle competition on house prices in their order, with the categories and
units of its data description, and not one row of its data: every house is drawn here, from one
seed. A few hidden numbers of a house (its wealth, age, size) bind the columns together. The
logarithm of the price is a sum of effects and of three products (size with quality, condition with
age, and size with the neighbourhood's wealth), plus noise. All effects are of our own invention;
nothing that is learned here says anything about Ames.

From training to test part three things move, all of them inputs (the price follows one law): the
years of the sales are later, new neighbourhoods sell more, and with them new and large houses, and
one small neighbourhood sells in the test part only. Some columns are complete in the training part
and have gaps in the test part, as in the real table.
"""

import csv
import io
import math
import random
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "d2lstab" / "houses"
ROWS = {"train": 240, "test": 160}
SEED = 14

NAMES = (
    "Id MSSubClass MSZoning LotFrontage LotArea Street Alley LotShape LandContour Utilities "
    "LotConfig LandSlope Neighborhood Condition1 Condition2 BldgType HouseStyle OverallQual "
    "OverallCond YearBuilt YearRemodAdd RoofStyle RoofMatl Exterior1st Exterior2nd MasVnrType "
    "MasVnrArea ExterQual ExterCond Foundation BsmtQual BsmtCond BsmtExposure BsmtFinType1 "
    "BsmtFinSF1 BsmtFinType2 BsmtFinSF2 BsmtUnfSF TotalBsmtSF Heating HeatingQC CentralAir "
    "Electrical 1stFlrSF 2ndFlrSF LowQualFinSF GrLivArea BsmtFullBath BsmtHalfBath FullBath "
    "HalfBath BedroomAbvGr KitchenAbvGr KitchenQual TotRmsAbvGrd Functional Fireplaces FireplaceQu "
    "GarageType GarageYrBlt GarageFinish GarageCars GarageArea GarageQual GarageCond PavedDrive "
    "WoodDeckSF OpenPorchSF EnclosedPorch 3SsnPorch ScreenPorch PoolArea PoolQC Fence MiscFeature "
    "MiscVal MoSold YrSold SaleType SaleCondition SalePrice"
)
COLUMNS = NAMES.split()

# Name: (how often, mean year of building, wealth from -1 to 1).
NEIGHBORHOODS = {
    "NAmes": (9, 1960, -0.2), "CollgCr": (7, 1998, 0.3), "OldTown": (5, 1924, -0.5),
    "Edwards": (5, 1955, -0.5), "Somerst": (4, 2004, 0.5), "Gilbert": (4, 1999, 0.2),
    "NridgHt": (4, 2005, 0.9), "Sawyer": (4, 1965, -0.3), "NWAmes": (4, 1975, 0.1),
    "SawyerW": (3, 1985, 0.1), "BrkSide": (3, 1932, -0.5), "Crawfor": (3, 1942, 0.4),
    "Mitchel": (3, 1980, -0.1), "NoRidge": (2, 1995, 1.0), "Timber": (2, 1992, 0.6),
    "IDOTRR": (2, 1926, -0.8), "ClearCr": (1, 1966, 0.4), "StoneBr": (1, 1999, 1.0),
    "SWISU": (1, 1928, -0.3), "MeadowV": (1, 1972, -0.9), "Blmngtn": (1, 2005, 0.3),
    "BrDale": (1, 1971, -0.8), "Veenker": (0.6, 1978, 0.5), "NPkVill": (0.4, 1976, -0.1),
    "Blueste": (0, 1980, -0.2),
}  # fmt: skip
YEARS = {"train": (5, 5, 4, 3, 1), "test": (2, 3, 4, 5, 3)}  # of 2006 … 2010
GRADES = ("Po", "Fa", "TA", "Gd", "Ex")
NEW = "Blueste"  # sells in the test part only
# Complete in the training part; in the test part one value in fifty is missing.
GAPS_IN_TEST = ("MSZoning", "Utilities", "Exterior1st", "TotalBsmtSF", "KitchenQual", "Functional",
                "GarageCars", "SaleType")  # fmt: skip


class Draw(random.Random):
    """Python's generator: unlike numpy's, its stream is the same in every version."""

    def pick(self, **weights):
        """One name, as often as its weight; an underscore before a name is dropped."""
        return self.choices([key.lstrip("_") for key in weights], list(weights.values()))[0]

    def chance(self, share):
        return self.random() < share

    def about(self, mean, spread, low, high):
        """A whole number near the mean, within its limits."""
        return int(min(max(round(self.gauss(mean, spread)), low), high))

    def grade(self, quality, spread=0.6, low=0):
        """A word from Po (or a later one) to Ex for a quality from 1 to 10."""
        return GRADES[self.about((quality - 1) / 2.25, spread, low, 4)]


def add_site(draw, house, part):
    """The plot and the neighbourhood."""
    share = {
        name: often * math.exp((year - 1970) / 50 if part == "test" else 0)
        for name, (often, year, _) in NEIGHBORHOODS.items()
    }
    share[NEW] = 2 if part == "test" else 0
    name = draw.pick(**share)
    _, year, wealth = NEIGHBORHOODS[name]
    house["Neighborhood"] = name
    poor = {"IDOTRR": dict(RM=8, C=2), "OldTown": dict(RM=8, RL=2, RH=1)}
    zones = {"Somerst": dict(FV=8, RL=2), "BrDale": dict(RM=1), "MeadowV": dict(RM=1), **poor}
    zone = draw.pick(**zones.get(name, dict(RL=20, RM=2, RH=0.5)))
    house["MSZoning"] = "C (all)" if zone == "C" else zone
    frontage = draw.about(68 + 12 * wealth, 18, 21, 180)
    house["LotFrontage"] = "NA" if draw.chance(0.17) else frontage
    house["LotArea"] = int(frontage * draw.about(130 + 20 * wealth, 25, 60, 400))
    house["Street"] = draw.pick(Pave=99, Grvl=1)
    house["Alley"] = draw.pick(NA=6, Grvl=2, Pave=1) if year < 1940 else "NA"
    house["LotShape"] = draw.pick(Reg=6, IR1=3 + 2 * wealth, IR2=0.3, IR3=0.1)
    house["LandContour"] = draw.pick(Lvl=18, Bnk=1, HLS=0.7, Low=0.5)
    house["Utilities"] = draw.pick(AllPub=400, NoSeWa=1)
    house["LotConfig"] = draw.pick(Inside=14, Corner=4, CulDSac=1.5, FR2=0.7, FR3=0.1)
    house["LandSlope"] = draw.pick(Gtl=20, Mod=1, Sev=0.2)
    near = dict(Norm=24, Feedr=1.5, Artery=1, RRAn=0.5, PosN=0.4, RRAe=0.2, PosA=0.2, RRNn=0.1)
    house["Condition1"] = draw.pick(**near)
    house["Condition2"] = draw.pick(Norm=80, Feedr=0.5, Artery=0.2)
    built = draw.about(year, 9, 1872, 2009)
    return wealth, built


def add_building(draw, house, wealth, built):
    """Kind, quality, age and outside of the building."""
    kind = draw.pick(_1Fam=17, TwnhsE=1.5, Twnhs=0.7, Duplex=0.7, _2fmCon=0.5)
    style = draw.pick(_1Story=10, _2Story=6 + 3 * wealth, _1x5Fin=2 if built < 1950 else 0.05,
                      SLvl=0.9, SFoyer=0.5, _1x5Unf=0.15, _2x5Unf=0.1, _2x5Fin=0.05)  # fmt: skip
    style = style.replace("x", ".")
    old = built < 1946
    codes = {"1Story": 30 if old else 20, "2Story": 70 if old else 60, "SLvl": 80, "SFoyer": 85,
             "1.5Fin": 50, "1.5Unf": 45, "2.5Unf": 75, "2.5Fin": 75}  # fmt: skip
    towns = 160 if style == "2Story" else 120
    other = {"TwnhsE": towns, "Twnhs": towns, "Duplex": 90, "2fmCon": 190}
    house.update(BldgType=kind, HouseStyle=style, MSSubClass=other.get(kind, codes[style]))
    house["OverallQual"] = draw.about(5.8 + 1.6 * wealth + (built - 1972) / 45, 0.9, 1, 10)
    house["OverallCond"] = 5 if built > 2000 else draw.about(5.7, 1.1, 1, 9)
    changed = draw.chance(0.5) and built < 1990
    house["YearBuilt"] = built
    house["YearRemodAdd"] = draw.about(1995, 12, max(built, 1950), 2009) if changed else built
    house["YearRemodAdd"] = max(house["YearRemodAdd"], 1950)
    house["RoofStyle"] = draw.pick(Gable=16, Hip=4, Flat=0.2, Gambrel=0.2, Mansard=0.1)
    house["RoofMatl"] = {"Flat": "Tar&Grv"}.get(
        house["RoofStyle"], draw.pick(CompShg=60, WdShngl=1)
    )
    new = built > 1985
    old_walls = dict(MetalSd=4, HdBoard=4, _WdxSdng=4, Plywood=2, BrkFace=1, WdShing=1, Stucco=0.5)
    walls = dict(VinylSd=9, CemntBd=1) if new else old_walls
    house["Exterior1st"] = draw.pick(**walls).replace("x", " ")
    second = {"CemntBd": "CmentBd", "WdShing": "Wd Shng"}
    same = second.get(house["Exterior1st"], house["Exterior1st"])
    house["Exterior2nd"] = same if draw.chance(0.9) else draw.pick(VinylSd=1, Plywood=1, MetalSd=1)
    masonry = draw.pick(None_=5 - 2 * wealth, BrkFace=3, Stone=1 + wealth, BrkCmn=0.1, NA=0.06)
    house["MasVnrType"] = masonry.rstrip("_")
    area = draw.about(200 + 80 * wealth, 120, 16, 1200)
    house["MasVnrArea"] = {"None_": 0, "NA": "NA"}.get(masonry, area)
    house["ExterQual"] = draw.grade(house["OverallQual"], 0.4, low=1)
    house["ExterCond"] = draw.pick(TA=9, Gd=1, Fa=0.2)
    base = dict(PConc=9, CBlock=1) if new else dict(CBlock=6, BrkTil=4 if old else 0.1, Stone=0.1)
    house["Foundation"] = draw.pick(**base, Slab=0.15)


def add_basement(draw, house, ground):
    """The basement: as large as the ground floor, or none."""
    names = ("BsmtQual", "BsmtCond", "BsmtExposure", "BsmtFinType1", "BsmtFinType2")
    house.update(dict.fromkeys(names, "NA"))
    areas = ("BsmtFinSF1", "BsmtFinSF2", "BsmtUnfSF", "TotalBsmtSF", "BsmtFullBath", "BsmtHalfBath")
    house.update(dict.fromkeys(areas, 0))
    if house["Foundation"] == "Slab" or draw.chance(0.015):
        return
    height = 4 + (house["YearBuilt"] - 1940) / 15 + 0.3 * house["OverallQual"]
    house["BsmtQual"] = draw.grade(height, 0.4, low=1)
    house["BsmtCond"] = draw.pick(TA=18, Gd=1, Fa=0.6)
    house["BsmtExposure"] = draw.pick(No=13, Av=3, Gd=1.8, Mn=1.6)
    first = draw.pick(Unf=8, GLQ=8, ALQ=4, BLQ=3, Rec=2.5, LwQ=1.2)
    second = "Unf" if first == "Unf" else draw.pick(Unf=20, Rec=1, LwQ=0.8, BLQ=0.6, ALQ=0.4)
    total = int(ground * draw.uniform(0.8, 1.05))
    done = 0 if first == "Unf" else int(total * draw.uniform(0.25, 0.95))
    extra = 0 if second == "Unf" else int((total - done) * draw.uniform(0.2, 0.9))
    house.update(BsmtFinType1=first, BsmtFinType2=second, BsmtFinSF1=done, BsmtFinSF2=extra)
    house.update(BsmtUnfSF=total - done - extra, TotalBsmtSF=total)
    house["BsmtFullBath"] = int(done > 0 and draw.chance(0.6))
    house["BsmtHalfBath"] = int(done > 0 and draw.chance(0.08))


def add_rooms(draw, house, wealth):
    """Living area and what is in it."""
    stories = {"1Story": 1, "SLvl": 1.3, "SFoyer": 1.05, "1.5Fin": 1.5, "1.5Unf": 1.1}
    stories = stories.get(house["HouseStyle"], 1.85)
    size = 6.95 + 0.10 * wealth + 0.08 * (house["OverallQual"] - 6) + 0.35 * math.log(stories)
    living = int(min(max(math.exp(draw.gauss(size + 0.15, 0.22)), 430), 4600))
    ground = int(living / stories * draw.uniform(0.95, 1.0)) if stories > 1.05 else living
    low = int(0.05 * living) if draw.chance(0.015) else 0
    ground = min(ground, living - low)
    house.update({"1stFlrSF": ground, "2ndFlrSF": living - ground - low, "LowQualFinSF": low})
    house["GrLivArea"] = living
    add_basement(draw, house, ground)
    house["Heating"] = draw.pick(GasA=60, GasW=1, Grav=0.3, Wall=0.2)
    house["HeatingQC"] = draw.grade(4 + (house["YearRemodAdd"] - 1950) / 10, 0.7)
    house["CentralAir"] = "Y" if draw.chance(0.85 if house["YearBuilt"] < 1950 else 0.98) else "N"
    house["Electrical"] = draw.pick(SBrkr=14, FuseA=1, FuseF=0.3, NA=0.1)
    house["FullBath"] = draw.about(0.6 + living / 1500, 0.4, 1, 3)
    house["HalfBath"] = int(stories > 1.2 and draw.chance(0.65))
    house["BedroomAbvGr"] = draw.about(1.5 + living / 1100, 0.6, 1, 6)
    house["KitchenAbvGr"] = 2 if house["BldgType"] in ("Duplex", "2fmCon") else 1
    house["KitchenQual"] = draw.grade(house["OverallQual"], 0.5, low=1)
    house["TotRmsAbvGrd"] = house["BedroomAbvGr"] + draw.about(1.5 + living / 800, 0.7, 2, 7)
    house["Functional"] = draw.pick(Typ=28, Min1=0.7, Min2=0.7, Mod=0.3, Maj1=0.3)
    house["Fireplaces"] = draw.about(0.1 + 0.3 * wealth + living / 3500, 0.6, 0, 3)
    house["FireplaceQu"] = draw.grade(house["OverallQual"]) if house["Fireplaces"] else "NA"


def add_outside(draw, house, wealth):
    """Garage, porches, pool and fence."""
    names = ("GarageType", "GarageYrBlt", "GarageFinish", "GarageQual", "GarageCond")
    house.update(dict.fromkeys(names, "NA"), GarageCars=0, GarageArea=0)
    if not draw.chance(0.06):
        cars = draw.about(1.6 + 0.5 * wealth + (house["YearBuilt"] - 1970) / 70, 0.5, 1, 4)
        house.update(GarageCars=cars, GarageArea=draw.about(60 + 210 * cars, 50, 160, 1300))
        attached = 9 if house["YearBuilt"] > 1950 else 1
        house["GarageType"] = draw.pick(Attchd=attached, Detchd=4, BuiltIn=0.8, Basment=0.2)
        house["GarageYrBlt"] = max(
            house["YearBuilt"], draw.about(house["YearBuilt"] + 3, 5, 1900, 2010)
        )
        house["GarageFinish"] = draw.pick(Unf=6 - 3 * wealth, RFn=4, Fin=3.5 + 2 * wealth)
        house["GarageQual"] = draw.pick(TA=27, Fa=1, Gd=0.3)
        house["GarageCond"] = draw.pick(TA=27, Fa=0.8, Gd=0.2)
    house["PavedDrive"] = draw.pick(Y=13, N=0.9, P=0.3)
    some = {
        "WoodDeckSF": (0.5, 180), "OpenPorchSF": (0.55, 80), "EnclosedPorch": (0.14, 150),
        "3SsnPorch": (0.02, 180), "ScreenPorch": (0.08, 190), "PoolArea": (0.01, 520),
    }  # fmt: skip
    for name, (share, area) in some.items():
        house[name] = draw.about(area, area / 3, 12, 800) if draw.chance(share) else 0
    house["PoolQC"] = draw.pick(Gd=1, Ex=1, Fa=0.5) if house["PoolArea"] else "NA"
    house["Fence"] = draw.pick(NA=16, MnPrv=2.2, GdPrv=0.8, GdWo=0.7, MnWw=0.2)
    house["MiscFeature"] = draw.pick(NA=28, Shed=1, Gar2=0.1, Othr=0.1)
    worth = house["MiscFeature"] != "NA"
    house["MiscVal"] = 50 * draw.about(10, 4, 1, 60) if worth else 0


def add_sale(draw, house, part):
    """When and how it was sold."""
    house["YrSold"] = draw.choices(range(2006, 2011), YEARS[part])[0]
    house["YrSold"] = max(house["YrSold"], house["YearBuilt"])
    house["MoSold"] = draw.choices(range(1, 13), (2, 2, 4, 5, 8, 10, 9, 5, 3, 3, 3, 2))[0]
    fresh = house["YrSold"] - house["YearBuilt"] <= 1
    house["SaleType"] = "New" if fresh else draw.pick(WD=28, COD=1, ConLD=0.2, CWD=0.1)
    usual = draw.pick(Normal=24, Abnorml=2, Family=0.5, Alloca=0.2, AdjLand=0.1)
    house["SaleCondition"] = "Partial" if fresh else usual


def log_price(house, wealth):
    """The law of the prices, without its noise: the same for both parts."""
    size, quality = math.log(house["GrLivArea"] / 1500), house["OverallQual"] - 6
    age = (house["YrSold"] - house["YearRemodAdd"]) / 50
    kind = {"Abnorml": -0.10, "Family": -0.04, "Partial": 0.04}.get(house["SaleCondition"], 0)
    return (
        11.86 + 0.42 * size + 0.085 * quality + 0.16 * wealth - 0.10 * age + kind
        + 0.04 * size * quality + 0.05 * (house["OverallCond"] - 5) * age + 0.06 * size * wealth
        + 0.10 * math.log(house["LotArea"] / 9000) + 0.11 * house["TotalBsmtSF"] / 1000
        + 0.07 * house["BsmtFinSF1"] / 1000 + 0.05 * house["GarageCars"]
        + 0.03 * house["Fireplaces"] + 0.07 * (house["CentralAir"] == "Y")
        + 0.05 * (house["KitchenQual"] == "Ex") - 0.06 * (house["Condition1"] != "Norm")
        - 0.015 * (house["YrSold"] - 2006)
    )  # fmt: skip


def make(part):
    """Return the rows of "train" or "test" as dictionaries; the test part has no SalePrice."""
    draw, rows = Draw(f"{SEED} {part}"), []
    for number in range(ROWS[part]):
        house = {"Id": number + 1 + (ROWS["train"] if part == "test" else 0)}
        wealth, built = add_site(draw, house, part)
        add_building(draw, house, wealth, built)
        add_rooms(draw, house, wealth)
        add_outside(draw, house, wealth)
        add_sale(draw, house, part)
        spread = 0.30 if draw.chance(0.02) else 0.09  # now and then a bargain, or a fancy price
        price = math.exp(log_price(house, wealth) + draw.gauss(0, spread))
        house["SalePrice"] = int(round(price, -2))
        for name in GAPS_IN_TEST if part == "test" else ():
            house[name] = "NA" if draw.chance(0.02) else house[name]
        rows.append(house)
    return rows


def text(part):
    """Return the CSV file of "train" or "test"."""
    columns, file = COLUMNS if part == "train" else COLUMNS[:-1], io.StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(make(part))
    return file.getvalue()


if __name__ == "__main__":
    for part in ROWS:
        (FOLDER / f"houses-{part}.csv").write_text(text(part))
