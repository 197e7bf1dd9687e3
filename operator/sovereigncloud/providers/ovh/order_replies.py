"""The fields of OVHcloud's replies about orders that the operator reads."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sovereigncloud.ports.ovh.orders import Basket
from sovereigncloud.providers.ovh.replies import Text


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Me(_Reply):
    """``nichandle.Nichandle``."""

    subsidiary: str = Field(alias="ovhSubsidiary")


class Price(_Reply):
    """``order.Price``."""

    currency: str = Field(alias="currencyCode")
    value: float


class PublicPricing(_Reply):
    """``order.catalog.public.Pricing``; amounts in hundred-millionths of the currency."""

    capacities: tuple[str, ...] = ()
    commitment: int = 0
    interval: int = 0
    unit: Text = Field(default="", alias="intervalUnit")
    mode: Text = ""
    price: int = 0
    tax: int = 0


class AddonFamily(_Reply):
    """``order.catalog.public.AddonFamily``."""

    name: str
    mandatory: bool | None = None
    default: Text = ""
    addons: tuple[str, ...] | None = None


class CatalogueSetting(_Reply):
    """``order.catalog.public.Configuration``."""

    name: str
    mandatory: bool = Field(default=False, alias="isMandatory")
    values: tuple[str, ...] | None = None


class Plan(_Reply):
    """``order.catalog.public.Plan``."""

    plan_code: str = Field(alias="planCode")
    pricings: tuple[PublicPricing, ...] = ()
    families: tuple[AddonFamily, ...] = Field(default=(), alias="addonFamilies")
    settings: tuple[CatalogueSetting, ...] = Field(default=(), alias="configurations")


class Locale(_Reply):
    """``order.catalog.public.Locale``."""

    currency: str = Field(alias="currencyCode")


class CatalogueReply(_Reply):
    """``order.catalog.public.DedicatedServerCatalog``."""

    locale: Locale
    plans: tuple[Plan, ...] = ()
    addons: tuple[Plan, ...] = ()


class AvailabilityPlace(_Reply):
    """``dedicated.AvailabilityDatacenter``."""

    availability: Text = ""
    datacenter: Text = ""


class Availability(_Reply):
    """``dedicated.DatacenterAvailability``."""

    memory: Text = ""
    storage: Text = ""
    datacenters: tuple[AvailabilityPlace, ...] = ()


class CartReply(_Reply):
    """``order.cart.Cart``."""

    id: str = Field(alias="cartId")
    description: Text = ""
    read_only: bool = Field(default=False, alias="readOnly")


class ItemSettings(_Reply):
    """``order.cart.ItemSettings``."""

    plan_code: Text = Field(default="", alias="planCode")
    pricing_mode: Text = Field(default="", alias="pricingMode")
    quantity: int | None = None


class CartItem(_Reply):
    """``order.cart.Item``."""

    id: int = Field(alias="itemId")
    parent: int | None = Field(default=None, alias="parentItemId")
    duration: Text = ""
    settings: ItemSettings = ItemSettings()

    @property
    def plan(self) -> str:
        return self.settings.plan_code

    def is_for(self, plan: str, basket: Basket) -> bool:
        """Whether it is one of this plan, on the basket's terms."""
        terms = (self.plan, self.duration, self.settings.pricing_mode, self.settings.quantity)
        return terms == (plan, basket.duration, basket.pricing_mode, 1)


class Configuration(_Reply):
    """``order.cart.ConfigurationItem``."""

    label: str
    value: Text = ""


class OrderPrices(_Reply):
    """``order.OrderPrices``."""

    with_tax: Price = Field(alias="withTax")


class Checkout(_Reply):
    """``order.Order``: of a simulated checkout without a number."""

    order_id: Annotated[int, BeforeValidator(lambda value: 0 if value is None else value)] = Field(
        default=0, alias="orderId"
    )
    prices: OrderPrices


class BillingOrder(_Reply):
    """``billing.Order``."""

    price: Price = Field(alias="priceWithTax")
    expires: datetime | None = Field(default=None, alias="expirationDate")


class BillingDetail(_Reply):
    """``billing.OrderDetail``."""

    domain: Text = ""


class ExtensionPlan(_Reply):
    """``billing.ItemDetail.OrderPlan``."""

    code: Text = ""


class ExtensionOrder(_Reply):
    """``billing.ItemDetail.Order``."""

    plan: ExtensionPlan


class Extension(_Reply):
    """``billing.ItemDetail``."""

    order: ExtensionOrder


class RenewType(_Reply):
    """``service.RenewType``."""

    automatic: bool = True
    delete_at_expiration: bool = Field(default=False, alias="deleteAtExpiration")
    forced: bool = False
    manual_payment: bool | None = Field(default=None, alias="manualPayment")
    period: int | None = None


class ServiceInfos(_Reply):
    """``services.Service``."""

    expiration: date | None = None
    engaged_up_to: date | None = Field(default=None, alias="engagedUpTo")
    renew: RenewType | None = None
