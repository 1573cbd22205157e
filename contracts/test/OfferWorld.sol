// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Offers} from "../src/Offers.sol";
import {IOffers} from "../src/interfaces.sol";
import {Settings} from "../src/Settings.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockToken} from "./Mocks.sol";

/// Everything an order says, as the settlement contract hashes it; `Full` leaves nothing for Offers to decide.
struct Full {
    address sellToken;
    address buyToken;
    address receiver;
    uint256 sellAmount;
    uint256 buyAmount;
    uint32 validTo;
    bytes32 appData;
    uint256 feeAmount;
    bytes32 kind;
    bool partiallyFillable;
    bytes32 sellTokenBalance;
    bytes32 buyTokenBalance;
}

/// What CoW's vault relayer is to an owner's allowance.
contract MockRelayer {
    function pull(MockToken token, address from, address to, uint256 amount) external {
        require(msg.sender == 0x9008D19f58AAbD9eD0D60971565AA8510560ab41);
        token.transferFrom(from, to, amount);
    }
}

/// As much of the settlement contract as decides about an order: its digest, its owner's answer, its limit, what was filled.
contract MockSettlement {
    mapping(bytes32 => uint256) private _filled;
    bytes32 private constant TYPE = keccak256(
        "Order(address sellToken,address buyToken,address receiver,uint256 sellAmount,uint256 buyAmount,uint32 validTo,bytes32 appData,uint256 feeAmount,string kind,bool partiallyFillable,string sellTokenBalance,string buyTokenBalance)"
    );

    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode("a domain", block.chainid));
    }

    function filledAmount(bytes calldata uid) external view returns (uint256) {
        return _filled[keccak256(uid)];
    }

    function invalidateOrder(bytes calldata uid) external {
        require(address(bytes20(uid[32:52])) == msg.sender, "not the owner");
        _filled[keccak256(uid)] = type(uint256).max;
    }

    function digestOf(Full memory o) public view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", domainSeparator(), keccak256(abi.encode(TYPE, o))));
    }

    /// `sold` goes and `bought` comes, out of nothing; in between `then_` may call whatever it likes.
    function settle(address owner, Full calldata o, uint256 sold, uint256 bought, address to, bytes calldata then_) external {
        bytes32 digest = digestOf(o);
        require(block.timestamp <= o.validTo, "too late");
        require(IAnswers(owner).isValidSignature(digest, abi.encode(o.sellToken)) == 0x1626ba7e, "no signature");
        require(sold * o.buyAmount <= bought * o.sellAmount, "past the limit");
        bytes32 key = keccak256(abi.encodePacked(digest, owner, o.validTo));
        bool buys = o.kind == keccak256("buy");
        uint256 done = buys ? bought : sold;
        require(_filled[key] < type(uint256).max - done, "ended");
        _filled[key] += done;
        uint256 whole = buys ? o.buyAmount : o.sellAmount;
        require(o.partiallyFillable ? _filled[key] <= whole : _filled[key] == whole, "too much");
        MockRelayer(0xC92E8bdf79f0507f65a392b0ab4667716BFE0110).pull(MockToken(payable(o.sellToken)), owner, address(this), sold);
        if (to != address(0)) {
            (bool ok,) = to.call(then_);
            require(ok, "the call in the middle");
        }
        MockToken(payable(o.buyToken)).mint(o.receiver == address(0) ? owner : o.receiver, bought);
    }
}

interface IAnswers {
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4);
}

/// GateWorld with an Offers contract that the owners allowed.
abstract contract OfferWorld is GateWorld {
    MockSettlement internal settlement;
    address internal relayer;
    Offers internal offers;

    function offerWorld() internal {
        world();
        offers = new Offers(address(gate));
        (settlement, relayer) = (MockSettlement(offers.SETTLEMENT()), offers.RELAYER());
        vm.etch(address(settlement), type(MockSettlement).runtimeCode);
        vm.etch(relayer, type(MockRelayer).runtimeCode);
        widen(abi.encodeCall(Settings.setOffers, (address(offers))));
        fromSafe(abi.encodeCall(Settings.renew, ()));
    }

    /// A sale of WETH at the floor of now.
    function order(uint256 amount) internal view returns (IOffers.Order memory) {
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), amount);
        uint32 validTo = uint32(block.timestamp + 300);
        return IOffers.Order(address(eth), address(usd), uint128(amount), uint128(floor), validTo, false, true);
    }

    function full(IOffers.Order memory o) internal view returns (Full memory) {
        (bytes32 kind, bytes32 plain) = (keccak256(bytes(o.buys ? "buy" : "sell")), keccak256("erc20"));
        return Full(
            o.sellToken,
            o.buyToken,
            address(safe),
            o.sellAmount,
            o.buyAmount,
            o.validTo,
            keccak256("{}"),
            0,
            kind,
            o.partiallyFillable,
            plain,
            plain
        );
    }

    function offerAs(IOffers.Order memory o) internal {
        vm.prank(AGENT);
        gate.offer(o);
    }

    function endAs(address who, address token) internal {
        vm.prank(who);
        who == AGENT ? gate.endOffer(token, block.timestamp) : offers.end(token);
    }

    /// Settles `sold` at exactly the limit, rounded as the settlement contract rounds.
    function fill(IOffers.Order memory o, uint256 sold) internal returns (uint256 bought) {
        bought = (sold * o.buyAmount + o.sellAmount - 1) / o.sellAmount;
        settlement.settle(address(offers), full(o), sold, bought, address(0), "");
    }

    function isBare(MockToken token) internal view {
        same(token.balanceOf(address(offers)), 0, "nothing lies there");
        same(token.allowance(address(offers), relayer), 0, "no allowance");
    }
}
